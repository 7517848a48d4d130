"""The Celery app of the workers that the tests start: ``python -m celery -A tests.contrib.celery_worker worker``."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject
from celery.signals import worker_ready
from flask import g
from kombu.entity import Queue
from sqlalchemy import text

from flask_safesession import session_manager
from flask_safesession.contrib.celery import SafeTask, init_celery

from ..kit import Kit
from ..workers import worker_kit
from .celery_kit import task

VARIABLE = "SAFESESSION_TEST_WORKER_CELERY"


def make_worker_celery(kit: Kit, config: Mapping[str, Any]) -> Celery:
    """The Celery app of a worker and of the test that sends to it."""
    celery = Celery("safesession-tests", set_as_current=False)
    queue = config["task_default_queue"]
    # The broker forgets the queue of a test that was cut off.
    make_queue: Any = Queue
    expiring = make_queue(queue, queue_arguments={"x-expires": 120_000})
    celery.conf.update(config, task_queues=[expiring], result_expires=120)
    init_celery(celery, kit.app)
    for define in (_reading, _writing, _retrying, _ending, _noting):
        define(celery, kit)
    return celery


def _put(kit: Kit, name: str) -> None:
    kit.session().add(kit.Item(name=name))
    kit.session().flush()


def _reading(celery: Celery, kit: Kit) -> None:
    @task(celery, name="exists")
    def exists(name: str) -> bool:
        with session_manager() as session:
            return bool(session.query(kit.Item).filter_by(name=name).count())

    @task(celery, name="whereabouts")
    def whereabouts() -> list[int]:
        """The process, its connection, the turn in this context, and how many connections others hold."""
        held = kit.checkedout()
        g.turn = g.get("turn", 0) + 1
        with session_manager() as session:
            query = "SELECT pg_backend_pid()" if kit.engine.name == "postgresql" else "SELECT 0"
            return [os.getpid(), session.execute(text(query)).scalar_one(), g.turn, held]


def _writing(celery: Celery, kit: Kit) -> None:
    @task(celery, name="add")
    def add(name: str) -> None:
        _put(kit, name)

    @task(celery, name="orphan")
    def orphan() -> None:
        kit.session().add(kit.LateChild(name="orphan", parent_id=999_999_999))


def _retrying(celery: Celery, kit: Kit) -> None:
    @task(celery, name="again", bind=True, max_retries=2)
    def again(self: Any, name: str) -> int:
        _put(kit, f"{name}{self.request.retries}")
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return int(self.request.retries)

    @task(
        celery,
        name="automatic",
        bind=True,
        autoretry_for=(KeyError,),
        retry_kwargs={"countdown": 0},
    )
    def automatic(self: Any, name: str) -> int:
        _put(kit, f"{name}{self.request.retries}")
        if self.request.retries < 2:
            raise KeyError
        return int(self.request.retries)


def _ending(celery: Celery, kit: Kit) -> None:
    never = threading.Event()

    @task(celery, name="stuck")
    def stuck(name: str) -> None:
        _put(kit, name)
        print(f"stuck with {name}", flush=True)
        never.wait(60)

    @task(celery, name="ends")
    def ends(name: str, how: str) -> None:
        _put(kit, name)
        raise {"ignore": Ignore, "reject": Reject, "exit": SystemExit, "error": KeyError}[how](
            "end"
        )

    @task(celery, name="dies", acks_late=True, reject_on_worker_lost=True, bind=True)
    def dies(self: Any, name: str) -> str:
        _put(kit, name)
        if not self.request.delivery_info["redelivered"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"


def _noting(celery: Celery, kit: Kit) -> None:
    class Noting(SafeTask):
        """Stores what its handlers saw."""

        def on_success(self, *_: Any) -> None:
            self.note("on_success")

        def on_failure(self, *_: Any) -> None:
            self.note("on_failure")

        def note(self, name: str) -> None:
            found = len(kit.db.session().new)
            with session_manager() as session:
                session.add(kit.Item(name=f"{name} in {self.request.id:.8} found {found}"))

    @task(celery, name="noting", base=Noting)
    def noting(error: bool) -> None:
        kit.session().add(kit.Item(name="body"))
        if error:
            raise KeyError


def _announce(**_: Any) -> None:
    print("the worker is ready", flush=True)


if VARIABLE in os.environ:
    _kit = worker_kit(options={"celery_transactional": os.environ.get("TRANSACTIONAL", "1") == "1"})
    with _kit.app.app_context():
        # What a fork inherits: a connection in the pool of the parent.
        _kit.db.session.execute(text("SELECT 1"))
    worker_ready.connect(_announce)
    app = make_worker_celery(_kit, json.loads(os.environ[VARIABLE]))
