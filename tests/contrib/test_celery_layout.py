"""The layout of the page on Celery, as files: a web app sends, and a worker of its own works."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import pytest
from redis import Redis

from ..docs.pages import EXAMPLES
from ..workers import ROOT, StartWorker, Worker

_SEND = """
import sys
from shop_tasks import celery
from shop_web import create_app
celery.conf.task_default_queue = sys.argv[1]
print(create_app(TESTING=True).test_client().post("/products/tea").status_code)
"""
_STOCK = """
from shop import create_app, stored
print(stored(create_app()))
"""


@pytest.mark.programs
def test_the_layout(start_worker: StartWorker, redis_url: str, tmp_path: Path) -> None:
    """What the view has stored, the task of the worker finds, in its own app."""
    queue = f"safesession-tests-{uuid.uuid4()}"
    environ = {
        "CELERY_BROKER_URL": redis_url,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(EXAMPLES), *filter(None, sys.path))),
    }

    def say(program: str, *arguments: str) -> str:
        answer: Worker = start_worker("-c", program, *arguments, environ=environ)
        assert answer.wait() == 0, answer.output
        return answer.output.strip()

    assert say(_SEND, queue) == "202"
    command = ("-m", "celery", "-A", "shop_worker", "worker", "-P", "solo", "-Q", queue)
    worker = start_worker(*command, "-l", "INFO", environ=environ)
    worker.wait_for(r"Task shop_tasks\.restock\[.*\] succeeded")
    assert say(_STOCK) == "{'tea': 10}"
    with Redis.from_url(redis_url) as redis:
        redis.delete(queue, f"_kombu.binding.{queue}")
