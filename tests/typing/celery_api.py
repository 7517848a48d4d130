"""What a type checker makes of the Celery integration. Checked, never run."""

from __future__ import annotations

from typing import Any

from flask import Flask
from typing_extensions import assert_type

from flask_safesession.contrib.celery import SafeTask, apply_async_on_commit, init_celery


def tasks(celery: Any, app: Flask, task: SafeTask, signature: Any) -> None:
    assert_type(init_celery(celery, app), None)
    assert_type(task.delay_on_commit(1, amount=2), None)
    assert_type(task.apply_async_on_commit((1,), {"amount": 2}, countdown=3), None)
    assert_type(apply_async_on_commit(signature, (1,), countdown=3), None)
    assert_type(task.transactional, "bool | None")
