"""What is around both applications: requests, somebody else's service, and a queue.

Who is faster is fixed here, and not left to chance: the service answers when the request has
ended, and the worker of the queue is idle, so that it works off a message while it is being sent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, current_app, request

from .plan import Unit

Accepted = tuple[str, int]
PATIENCE = 30.0


class SlowService:
    """A tariff to be asked for over the network; both events are the driver's."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def ask(self) -> None:
        """Ask, and wait for the answer."""
        self.asked.set()
        self.may_answer.wait(PATIENCE)

    def reset(self) -> None:
        """Begin anew with the next unit."""
        self.asked.clear()
        self.may_answer.clear()


tariff = SlowService()


def send(job: Callable[..., object], *args: object) -> None:
    """Queue a message; a worker, which has an app and a database like the sender's, calls *job*."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker") as worker:
        worker.submit(_work, real_app(), job, args)


def real_app() -> Flask:
    """Return the app itself, which can go to another thread, unlike `current_app`."""
    app: Any = current_app
    found: Flask = app._get_current_object()
    return found


def posted_unit() -> Unit:
    """Return the unit in the body of the request."""
    return Unit(**request.get_json())


def _work(app: Flask, job: Callable[..., object], args: tuple[object, ...]) -> None:
    with app.app_context():
        job(*args)
