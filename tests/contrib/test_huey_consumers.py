"""Real consumers of Huey, in processes of their own: with threads, processes and greenlets."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huey.api import Huey
from huey.exceptions import TaskException

from flask_safesession import session_manager
from flask_safesession.contrib.huey import enqueue_on_commit

from ..kit import Kit, MakeKit
from ..workers import StartWorker, Worker, database_environ
from .conftest import readable
from .huey_consumer import VARIABLE
from .huey_program import declare_tasks, make_huey

Start = Callable[..., Worker]

POSTGRESQL = pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql)


@pytest.fixture(params=["sqlite-file", POSTGRESQL])
def consumed(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit whose database the consumers use."""
    return readable(make_kit(request.param))


@pytest.fixture
def url(request: pytest.FixtureRequest, consumed: Kit, tmp_path: Path) -> str:
    """Where the queue is: in a file beside SQLite, in Redis beside PostgreSQL."""
    if consumed.database.dialect == "sqlite":
        return str(tmp_path / "huey.db")
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
def huey(url: str) -> Iterator[Huey]:
    """The queue, from the side of the sender."""
    huey = make_huey(url, f"safesession-{secrets.token_hex(6)}")
    yield huey
    huey.flush()
    huey.storage.close()


@pytest.fixture
def start(start_worker: StartWorker, huey: Huey, url: str) -> Start:
    """Start a consumer of that queue."""

    def begin(kit: Kit, worker_type: str, workers: int = 1, hooks: str = "") -> Worker:
        environ = {VARIABLE: f"{url} {huey.name} {worker_type} {workers} {hooks}"}
        program = "huey_green" if worker_type == "greenlet" else "huey_consumer"
        given = {**database_environ(kit.database), **environ}
        return start_worker("-m", f"tests.contrib.{program}", environ=given)

    return begin


def value(result: Any) -> Any:
    """What a task returned; it may still have to come."""
    return result(blocking=True, timeout=30, max_delay=0.1)


@pytest.mark.parametrize("worker_type", ["thread", "process", "greenlet"])
def test_a_consumer(worker_type: str, consumed: Kit, huey: Huey, start: Start) -> None:
    """Tasks are stored, retried and refused; hooks see stored rows and no session of a task."""
    tasks = declare_tasks(huey, consumed)
    worker = start(consumed, worker_type, 2, "hooks")
    results = [tasks.store(f"item {number}") for number in range(10)]
    assert list(map(value, results)) == [f"item {number}" for number in range(10)]
    assert value(tasks.surroundings()) == ("surroundings", 0, True, False)
    with pytest.raises(TaskException, match="IntegrityError"):
        value(tasks.late())
    assert value(huey.enqueue(tasks.store.s("tea").then(tasks.join)))[0] == "tea"
    seen = worker.wait_for(r"^after store True \[\] \[.*'tea'.*\]$")
    worker.wait_for("^told complete join True$")
    assert "started, context: True" in worker.output
    assert (len(consumed.names()), seen is not None) == (12, True)
    assert stop(worker) == 0


@pytest.mark.parametrize("consumed", [POSTGRESQL], indirect=True)
@pytest.mark.parametrize("worker_type", ["process", "greenlet"])
def test_a_time_limit_in_a_statement(
    worker_type: str, consumed: Kit, huey: Huey, start: Start
) -> None:
    """The task is rolled back, and its worker goes on with connections that work."""
    tasks = declare_tasks(huey, consumed)
    worker = start(consumed, worker_type)
    with pytest.raises(TaskException) as caught:
        value(tasks.wait())
    assert "TaskTimeout" in caught.value.metadata["traceback"]
    assert (value(tasks.store("tea")), consumed.names()) == ("tea", ["tea"])
    assert stop(worker) == 0


def test_a_consumer_that_is_told_to_end_now(consumed: Kit, huey: Huey, start: Start) -> None:
    """Nothing of the interrupted task is stored."""
    tasks = declare_tasks(huey, consumed)
    worker = start(consumed, "process", hooks="hooks")
    tasks.linger()
    worker.wait_for("^lingering$")
    worker.process.terminate()
    worker.wait()
    assert ("told interrupted linger True" in worker.output, consumed.names()) == (True, [])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_task_sees_the_row_that_it_is_about(consumed: Kit, huey: Huey, start: Start) -> None:
    """A thousand times, from a worker that looks at once."""
    tasks = declare_tasks(huey, consumed)
    worker = start(consumed, "thread")
    for number in range(1000):
        with consumed.app.app_context(), session_manager() as session:
            session.add(consumed.Item(name=f"item {number}"))
            enqueue_on_commit(huey, tasks.look.s(f"item {number}", 1000))
    assert worker.wait_for(r"(\d+) seen, (\d+) missed", timeout=180).groups() == ("1000", "0")


def test_a_task_that_is_enqueued_before_the_commit(consumed: Kit, huey: Huey, start: Start) -> None:
    """What this guards against: Huey's own call lets a quick worker look before the row is there."""
    tasks = declare_tasks(huey, consumed)
    start(consumed, "thread")
    with consumed.app.app_context(), session_manager() as session:
        session.add(consumed.Item(name="tea"))
        session.flush()
        assert value(tasks.look("tea", 2)) is False


def stop(worker: Worker) -> int:
    """End a consumer when its tasks are done."""
    worker.process.send_signal(signal.SIGINT)
    return worker.wait()
