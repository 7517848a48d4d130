"""What the jobs of RQ's tests do: imported by the tests and by their workers, which have the app from here too."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from flask import current_app, has_app_context, has_request_context
from redis import Redis
from rq import Callback, Retry, get_current_job
from rq.job import Job
from sqlalchemy import text

from flask_safesession import session_manager
from flask_safesession.contrib.rq import AppSpawnWorker, AppWorker, job_options

from ..kit import Kit
from ..workers import worker_kit


class StoringWorker(AppWorker):
    """A worker that forks, with transactions."""

    app = "tests.contrib.rq_jobs:create_app()"
    transactional = True


class StoringSpawnWorker(AppSpawnWorker):
    """A worker that starts interpreters, with transactions."""

    app = "tests.contrib.rq_jobs:create_app()"
    transactional = True


class BusyWorker(StoringWorker):
    """A worker whose own process has a connection in its pool when it forks."""

    def execute_job(self, *args: Any) -> None:
        kit: Kit = self.load_app().extensions["kit"]
        with kit.app.app_context():
            os.environ["SAFESESSION_TEST_PARENT"] = server_process(kit)
        super().execute_job(*args)
        with kit.app.app_context():
            kept = server_process(kit) == os.environ["SAFESESSION_TEST_PARENT"]
            print("the parent still has", kept)


def create_app() -> Any:
    """The app of a worker process, on the database of its test."""
    return with_kit(worker_kit()).app


def with_kit(kit: Kit) -> Kit:
    """*kit*, which jobs find in their app."""
    kit.app.extensions["kit"] = kit
    return kit


def the_kit() -> Kit:
    """The kit of the app that the job runs in."""
    kit: Kit = current_app.extensions["kit"]
    return kit


def server_process(kit: Kit) -> str:
    """PostgreSQL's process behind the connection of the session."""
    return str(kit.session().scalar(text("SELECT pg_backend_pid()")))


def store(name: str) -> str:
    """Store an item, if somebody commits."""
    the_kit().session().add(the_kit().Item(name=name))
    the_kit().session().flush()
    return name


@job_options(transactional=False)
def store_without(name: str) -> None:
    """Store a name, in no transaction whatever the worker says."""
    store(name)


@job_options(transactional=True)
def store_with(name: str) -> None:
    """The same, in one."""
    store(name)


def surroundings() -> tuple[int, bool, bool, str]:
    """Where a job runs."""
    job = get_current_job()
    assert job is not None
    connections = the_kit().checkedout()
    return connections, has_app_context(), has_request_context(), job.id


def process() -> tuple[int, str]:
    """The process of the job and the server's one."""
    return os.getpid(), server_process(the_kit())


def parents() -> tuple[str, str]:
    """The server's process for the parent of this work horse, and for the work horse."""
    return os.environ["SAFESESSION_TEST_PARENT"], server_process(the_kit())


def look(name: str, counter: str, total: int) -> bool:
    """Count at once whether the row is there; the last one tells."""
    found = name in visible(the_kit())
    job = get_current_job()
    assert job is not None
    redis = job.connection
    redis.hincrby(counter, "seen" if found else "missed")
    if sum(map(int, redis.hvals(counter))) == total:
        redis.rpush(f"{counter}-done", "done")
    return found


def visible(kit: Kit) -> list[str]:
    """The names that the session sees."""
    return list(kit.session().scalars(text("SELECT name FROM item ORDER BY name")))


def late() -> None:
    """Write what the COMMIT refuses."""
    the_kit().session().add(the_kit().LateChild(name="lost", parent_id=999))


def fail_once(name: str) -> None:
    """Write, and fail at the first try."""
    store(name)
    job = get_current_job()
    assert job is not None
    if not job.meta.get("failed"):
        job.meta["failed"] = True
        job.save_meta()  # type: ignore[no-untyped-call]
        raise ValueError("the first try")


def ask_for_another(name: str) -> Retry | str:
    """Return a Retry at the first try."""
    job = get_current_job()
    assert job is not None
    if not job.number_of_retries:
        return Retry(max=1)
    return store(name)


def wait_in_database(seconds: int) -> None:
    """Write, and wait for the server."""
    store("half")
    the_kit().session().execute(text(f"SELECT pg_sleep({seconds})"))


def die() -> None:
    """Write, and end like a process that the kernel kills."""
    store("half")
    os.kill(os.getpid(), 9)


def linger(path: str) -> None:
    """Write, say so through the pipe at *path*, and do not come to an end."""
    store("half")
    with Path(path).open("w") as pipe:
        pipe.write("lingering")
    threading.Event().wait()


async def coroutine(name: str) -> str:
    """A job that is awaited, and fails after it has stored something "bad"."""
    async with session_manager() as session:
        session.add(the_kit().Item(name=name))
    if name == "bad":
        raise LookupError(name)
    return name.upper()


async def wait_for_ever() -> None:
    """Write, and wait where only a time limit ends it."""
    async with session_manager() as session:
        session.add(the_kit().Item(name="half"))
        await session.flush()
        await asyncio.Event().wait()


async def awaited_success(job: Job, connection: Redis, result: Any, *_: Any) -> None:
    """A callback that is awaited."""
    await coroutine(f"succeeded: {result}")


def on_success(job: Job, connection: Redis, result: Any, *_: Any) -> None:
    """A callback that writes."""
    store(f"succeeded: {result}")


def on_failure(job: Job, connection: Redis, *error: Any) -> None:
    """A callback that writes."""
    store(f"failed: {error[1]} {visible(the_kit())}")


def on_stopped(job: Job, connection: Redis) -> None:
    """A callback that writes, in the process of the worker."""
    store(f"stopped: {visible(the_kit())}")


CALLBACKS = {
    "on_success": Callback(on_success),
    "on_failure": Callback(on_failure),
    "on_stopped": Callback(on_stopped),
}
