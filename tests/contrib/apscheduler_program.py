"""Jobs that a job store can name, and a program with a scheduler; also what the processes of a pool import."""

from __future__ import annotations

import sys
import threading
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from flask import Flask, current_app, has_app_context

from flask_safesession import current_scope
from flask_safesession.contrib.apscheduler import init_scheduler, job_options

from ..kit import Kit
from ..workers import worker_kit

KIT = "tests.kit"


def provide(kit: Kit) -> Flask:
    """Let the jobs find *kit* by the app that they run in."""
    kit.app.extensions[KIT] = kit
    return kit.app


def create_app() -> Flask:
    """The app of a process, on the database of the test."""
    return provide(worker_kit())


def fail_to_create() -> Flask:
    """A factory that does not work."""
    raise OSError("no settings")


def store(name: str = "tea") -> str:
    """Add a row, and leave the transaction to whoever owns it."""
    kit: Kit = current_app.extensions[KIT]
    kit.session().add(kit.Item(name=name))
    scope = current_scope()
    return "no scope" if scope is None else scope.name.rpartition(".")[2]


@job_options(transactional=True)
def store_in_one(name: str = "tea") -> str:
    """The same in a transaction of its own, whatever the scheduler says."""
    return store(name)


@job_options(transactional=False)
def store_by_hand(name: str = "tea") -> None:
    """Commit by hand."""
    store(name)
    kit: Kit = current_app.extensions[KIT]
    kit.session().commit()


def store_what_commit_refuses() -> None:
    """The key is checked at COMMIT."""
    kit: Kit = current_app.extensions[KIT]
    kit.session().add(kit.LateChild(name="lost", parent_id=999))


async def wait() -> None:
    """A coroutine function."""


def _main(kind: str) -> None:
    scheduler = _make(kind)
    init_scheduler(scheduler, create_app(), transactional=True)
    left = {f"{number:02}" for number in range(20)}
    done = threading.Event()

    def report(event: Any) -> None:
        words = (event.job_id, event.retval, event.exception, has_app_context())
        sys.stdout.write(" ".join(map(str, words)) + "\n")  # in one piece: there are ten threads
        left.remove(event.job_id)
        if not left:
            done.set()

    scheduler.add_listener(report, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    for name in sorted(left):
        scheduler.add_job(store, args=(name,), id=name, misfire_grace_time=None)
    ender = threading.Thread(target=_end, args=(scheduler, done))
    ender.start()
    scheduler.start()
    ender.join()


def _end(scheduler: Any, done: threading.Event) -> None:
    """A scheduler that blocks is shut down from elsewhere, and the one of gevent not by a listener."""
    done.wait()
    scheduler.get_jobs()  # waits for the end of the round that has begun the last job
    scheduler.shutdown(wait=False)


def _make(kind: str) -> Any:
    if kind == "gevent":
        from apscheduler.schedulers.gevent import GeventScheduler

        return GeventScheduler()
    from apscheduler.schedulers.blocking import BlockingScheduler

    return BlockingScheduler()


if __name__ == "__main__":
    if sys.argv[1] == "gevent":
        from gevent.monkey import patch_all

        patch_all()
    _main(sys.argv[1])
