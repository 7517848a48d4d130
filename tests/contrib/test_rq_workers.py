"""Real workers of RQ, in processes of their own: they fork, spawn, or work by themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.command import send_stop_job_command
from rq.job import Job
from rq.results import Result

from flask_safesession import session_manager
from flask_safesession.contrib.rq import AppQueue

from ..kit import Kit, MakeKit
from ..workers import StartWorker, Worker, database_environ
from . import rq_jobs
from .conftest import readable

MODULE = "tests.contrib.rq_jobs"
FORKS = f"{MODULE}.StoringWorker"
SPAWNS = f"{MODULE}.StoringSpawnWorker"
SIMPLE = "flask_safesession.contrib.rq.AppSimpleWorker"

Start = Callable[..., Worker]


@pytest.fixture(
    params=["sqlite-file", pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql)]
)
def worked(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit whose database the workers use."""
    return readable(make_kit(request.param))


@pytest.fixture
def server_kit(make_kit: MakeKit) -> Kit:
    """The same on PostgreSQL."""
    return make_kit("postgresql-psycopg")


@pytest.fixture
def start(start_worker: StartWorker, rq_queue: AppQueue, redis_url: str) -> Iterator[Start]:
    """Start ``rq worker`` on the queue of the test."""

    def begin(kit: Kit, worker_class: str, *options: str) -> Worker:
        environ = {**database_environ(kit.database), "SAFESESSION_APP": f"{MODULE}:create_app()"}
        return start_worker(
            *("-m", "rq.cli", "worker", "--url", redis_url, "--worker-class", worker_class),
            *("--quiet", *options, rq_queue.name),
            environ=environ,
        )

    return begin  # type: ignore[return-value]


def returned(job: Job) -> Any:
    """What a job returned; it may still have to come."""
    return finished(job).return_value


def finished(job: Job) -> Result:
    """The result of a job, which may still have to come."""
    result = job.latest_result(timeout=30)
    assert result is not None, "the job did not end"
    return result


@pytest.mark.parametrize("worker_class", [FORKS, SPAWNS])
def test_a_worker_with_transactions(
    worker_class: str, worked: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """A job that returned is stored, one that raised is not, and callbacks write by themselves."""
    good = rq_queue.enqueue(rq_jobs.store, "tea", **rq_jobs.CALLBACKS)
    bad = rq_queue.enqueue(rq_jobs.fail_once, "milk", **rq_jobs.CALLBACKS)
    worker = start(worked, worker_class, "--burst")
    assert (finished(good).type, finished(bad).type, worker.wait()) == (
        Result.Type.SUCCESSFUL,
        Result.Type.FAILED,
        0,
    )
    assert worked.names() == [
        "failed: the first try ['succeeded: tea', 'tea']",
        "succeeded: tea",
        "tea",
    ]


@pytest.mark.parametrize("worker_class", [FORKS, SPAWNS, SIMPLE])
def test_coroutine_functions(
    worker_class: str, server_kit: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """They are awaited, and a time limit rolls them back."""
    late = rq_queue.enqueue(rq_jobs.wait_for_ever, job_timeout=1)
    good = rq_queue.enqueue(rq_jobs.coroutine, "tea")
    worker = start(server_kit, worker_class, "--burst")
    failed = finished(late)
    assert (failed.type, returned(good), worker.wait()) == (Result.Type.FAILED, "TEA", 0)
    assert "JobTimeoutException" in str(failed.exc_string)
    assert server_kit.names() == ["tea"]


@pytest.mark.parametrize("worker_class", [FORKS, SPAWNS])
def test_a_work_horse_says_goodbye(
    worker_class: str, server_kit: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """No connection of its own is left when it has ended; the next job has another process and connection."""
    jobs = [rq_queue.enqueue(rq_jobs.process) for _ in range(2)]
    worker = start(server_kit, worker_class, "--burst")
    (first, one), (second, two) = map(returned, jobs)
    assert worker.wait() == 0
    assert (first != second, one != two, _connected(server_kit, one, two)) == (True, True, [])


def test_a_connection_of_the_parent(server_kit: Kit, rq_queue: AppQueue, start: Start) -> None:
    """The work horse neither uses nor closes what its parent has in the pool when it forks.

    RQ's own work horse talks through the same socket as its parent.
    """
    jobs = [rq_queue.enqueue(rq_jobs.parents) for _ in range(2)]
    worker = start(server_kit, f"{MODULE}.BusyWorker", "--burst")
    results = [returned(job) for job in jobs]
    assert worker.wait() == 0
    assert worker.output.count("the parent still has True") == 2
    assert [parent != horse for parent, horse in results] == [True, True]


def test_a_commit_that_fails_in_a_work_horse(
    server_kit: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """The job has failed, with the error of the COMMIT."""
    job = rq_queue.enqueue(rq_jobs.late)
    start(server_kit, FORKS, "--burst").wait()
    assert "IntegrityError" in str(finished(job).exc_string)


def test_a_time_limit(server_kit: Kit, rq_queue: AppQueue, start: Start) -> None:
    """It interrupts the statement: rolled back, and the next try finds nothing of it."""
    job = rq_queue.enqueue(rq_jobs.wait_in_database, 20, job_timeout=1, retry=Retry(max=1))
    last = rq_queue.enqueue(rq_jobs.store, "tea")
    start(server_kit, FORKS, "--burst").wait()
    assert "Task exceeded maximum timeout value" in str(finished(job).exc_string)
    assert (finished(last).type, server_kit.names()) == (Result.Type.SUCCESSFUL, ["tea"])


def test_a_time_limit_in_a_process_that_lives_on(
    server_kit: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """The simple worker's next job gets a connection that works."""
    slow = rq_queue.enqueue(rq_jobs.wait_in_database, 20, job_timeout=1)
    jobs = [rq_queue.enqueue(rq_jobs.process) for _ in range(2)]
    start(server_kit, SIMPLE, "--burst").wait()
    assert "Task exceeded maximum timeout value" in str(finished(slow).exc_string)
    one, two = map(returned, jobs)
    assert (one == two, server_kit.names()) == (True, [])


def test_a_work_horse_that_is_killed(worked: Kit, rq_queue: AppQueue, start: Start) -> None:
    """Nothing of its job is stored, and the worker goes on."""
    job = rq_queue.enqueue(rq_jobs.die, **rq_jobs.CALLBACKS)
    last = rq_queue.enqueue(rq_jobs.store, "tea")
    start(worked, FORKS, "--burst").wait()
    assert "Work-horse terminated unexpectedly" in str(finished(job).exc_string)
    assert (finished(last).type, worked.names()) == (Result.Type.SUCCESSFUL, ["tea"])


def test_a_job_that_is_stopped(
    worked: Kit, rq_queue: AppQueue, start: Start, tmp_path: Path
) -> None:
    """Its callback runs in the worker, which forks the next work horse with that connection in its pool."""
    path = tmp_path / "lingering"
    os.mkfifo(path)
    job = rq_queue.enqueue(rq_jobs.linger, str(path), **rq_jobs.CALLBACKS)
    last = rq_queue.enqueue(rq_jobs.store, "tea")
    worker = start(worked, FORKS, "--burst")
    assert path.read_text() == "lingering"
    send_stop_job_command(rq_queue.connection, job.id)
    assert worker.wait() == 0
    assert (finished(last).type, worked.names()) == (Result.Type.SUCCESSFUL, ["stopped: []", "tea"])


def test_the_scheduler(worked: Kit, rq_queue: AppQueue, start: Start) -> None:
    """A job whose time has come runs like any other."""
    job = rq_queue.enqueue_in(timedelta(0), rq_jobs.store, "tea")
    worker = start(worked, FORKS, "--with-scheduler")
    assert (finished(job).type, worked.names()) == (Result.Type.SUCCESSFUL, ["tea"])
    assert worker.stop() == 0


def test_a_pool_of_workers(
    worked: Kit, rq_queue: AppQueue, start_worker: StartWorker, redis_url: str
) -> None:
    """Each of them has an app of its own."""
    jobs = [rq_queue.enqueue(rq_jobs.store, f"item {number}") for number in range(4)]
    pool = ("-m", "rq.cli", "worker-pool", "-u", redis_url, "-w", FORKS, "-b", "-q", "-n", "2")
    worker = start_worker(*pool, rq_queue.name, environ=database_environ(worked.database))
    assert worker.wait() == 0
    assert sorted(map(returned, jobs)) == worked.names()


def test_a_worker_without_an_app(
    sqlite_kit: Kit, rq_queue: AppQueue, start_worker: StartWorker, redis_url: str
) -> None:
    """It ends with the error, before it takes a job."""
    rq_queue.enqueue(rq_jobs.store, "tea")
    command = ("-m", "rq.cli", "worker", "-u", redis_url, "-w", SIMPLE, rq_queue.name)
    worker = start_worker(*command, environ={"SAFESESSION_APP": "nowhere:app"})
    assert (worker.wait(), len(rq_queue)) == (1, 1)
    assert "NoAppError: The app of this RQ worker, 'nowhere:app', cannot be loaded" in worker.output


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_job_sees_the_row_that_it_is_about(worked: Kit, rq_queue: AppQueue, start: Start) -> None:
    """A thousand times, from a worker that looks at once."""
    worker, counter, total = start(worked, SIMPLE), f"{rq_queue.name}-count", 1000
    for number in range(total):
        with worked.app.app_context(), session_manager() as session:
            session.add(worked.Item(name=f"item {number}"))
            rq_queue.enqueue_on_commit(rq_jobs.look, f"item {number}", counter, total, result_ttl=0)
    assert _counts(rq_queue.connection, counter) == {b"seen": b"1000"}
    assert worker.stop() == 0


def test_a_job_that_is_enqueued_before_the_commit(
    worked: Kit, rq_queue: AppQueue, start: Start
) -> None:
    """What this guards against: RQ's own enqueue lets a quick worker look before the row is there."""
    start(worked, SIMPLE)
    with worked.app.app_context(), session_manager() as session:
        session.add(worked.Item(name="tea"))
        session.flush()
        job = Queue(rq_queue.name, connection=rq_queue.connection).enqueue(
            rq_jobs.look, "tea", f"{rq_queue.name}-count", 1
        )
        assert returned(job) is False


def _counts(redis: Redis, counter: str) -> Any:
    assert redis.blpop(f"{counter}-done", timeout=150) is not None, redis.hgetall(counter)
    return redis.hgetall(counter)


def _connected(kit: Kit, *processes: str) -> list[Any]:
    """Which of the server's processes are still there."""
    observer = kit.database.observer
    assert observer is not None
    statement = f"SELECT pid FROM pg_stat_activity WHERE pid IN ({', '.join(processes)})"
    with observer.connect() as connection:
        return cast("list[Any]", connection.exec_driver_sql(statement).scalars().all())
