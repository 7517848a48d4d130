"""Coroutine functions as actors of Dramatiq and as jobs of RQ."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import current_app, g

from flask_safesession import current_scope, session_manager

from ...kit import Kit

pytest.importorskip("dramatiq")
pytest.importorskip("rq")

from dramatiq.middleware import AsyncIO, Middleware, TimeLimitExceeded
from dramatiq.threading import raise_thread_exception
from rq import Callback, Queue
from rq.job import JobStatus

from flask_safesession.contrib.rq import AppQueue

from ...contrib import rq_jobs
from ...contrib.rq_kit import InnerWorker, TransactionalInnerWorker, queue_on, work
from ...contrib.test_dramatiq import Bench


@pytest.fixture
def bench(sqlite_kit: Kit) -> Bench:
    """Messages in transactions, and Dramatiq's own event loop."""
    bench = Bench(sqlite_kit, transactional=True)
    bench.broker.add_middleware(AsyncIO())
    return bench


@pytest.mark.parametrize("transactional", [True, False])
def test_actors(bench: Bench, transactional: bool) -> None:
    """Each message has a context, a session and a transaction of its own, all on one loop."""
    kit = bench.kit

    async def store(name: str) -> str:
        assert (current_app.name, list(g), current_scope() is None) == (
            kit.app.name,
            [],
            not transactional,
        )
        g.name = name
        async with session_manager() as session:
            session.add(kit.Item(name=name))
            bench.seen.append((asyncio.get_running_loop(), session))
        if name == "bad":
            raise LookupError
        return name.upper()

    actor = bench.actor(store, transactional=transactional)
    for name in ("a", "bad", "c"):
        actor.send(name)
    bench.work()
    assert (bench.after.results, bench.failures) == (["A", "C"], [LookupError])
    loops, sessions = zip(*bench.seen, strict=True)
    assert (len(set(loops)), len(set(sessions))) == (1, 3)
    assert kit.names() == (["a", "c"] if transactional else ["a", "bad", "c"])


def test_the_arguments_of_an_actor(bench: Bench) -> None:
    """They are those of the coroutine function."""

    async def store(name: str) -> None: ...

    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        bench.actor(store).send()


def test_an_actor_without_a_loop(sqlite_kit: Kit) -> None:
    """Dramatiq says which middleware is missing."""
    bench = Bench(sqlite_kit)

    async def store() -> None: ...

    bench.actor(store).send()
    bench.work()
    assert [str(each) for each in bench.after.errors] == [
        "Global event loop thread not set. Have you added the AsyncIO middleware to your middleware stack?"
    ]


class _Threads(Middleware):
    """Notes the threads of the worker."""

    def __init__(self) -> None:
        self.idents: list[int] = []

    def before_process_message(self, broker: object, message: object) -> None:
        self.idents.append(threading.get_ident())


def test_the_time_limit_of_an_actor(bench: Bench) -> None:
    """Dramatiq cancels the coroutine: its scope rolls back, and the connection is back."""
    threads = _Threads()
    bench.broker.add_middleware(threads)

    async def wait() -> None:
        async with session_manager() as session:
            session.add(bench.kit.Item(name="lost"))
            await session.flush()
            raise_thread_exception(threads.idents[0], TimeLimitExceeded)  # type: ignore[no-untyped-call]
            await asyncio.Event().wait()

    bench.actor(wait).send()
    bench.work()
    assert (bench.failures, bench.kit.names()) == ([TimeLimitExceeded], [])


@pytest.fixture
def rq_queue(redis_url: str) -> Iterator[AppQueue]:
    """A queue of RQ."""
    with queue_on(redis_url) as queue:
        yield queue


@pytest.mark.parametrize("worker", [InnerWorker, TransactionalInnerWorker])
def test_jobs(sqlite_kit: Kit, rq_queue: AppQueue, worker: Any) -> None:
    """Each, and each callback, has a loop, a context and a session, and a transaction if the worker says so."""
    rq_jobs.with_kit(sqlite_kit)
    callback = Callback(rq_jobs.awaited_success)
    jobs = [
        rq_queue.enqueue(rq_jobs.coroutine, "a", on_success=callback),
        rq_queue.enqueue(rq_jobs.coroutine, "bad"),
        Queue(rq_queue.name, connection=rq_queue.connection).enqueue(rq_jobs.coroutine, "c"),
    ]
    work(sqlite_kit, rq_queue, worker)
    finished, failed = JobStatus.FINISHED, JobStatus.FAILED
    assert [each.get_status() for each in jobs] == [finished, failed, finished]
    assert jobs[0].return_value() == "A"
    stays = [] if worker.transactional else ["bad"]
    assert sqlite_kit.names() == sorted(["a", "c", "succeeded: A", *stays])


def test_a_job_in_this_process(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """A queue without workers runs it as well."""
    rq_jobs.with_kit(sqlite_kit)
    queue = AppQueue(rq_queue.name, connection=rq_queue.connection, is_async=False)
    with sqlite_kit.app.app_context():
        job = queue.enqueue(rq_jobs.coroutine, "a")
    assert (job.return_value(), sqlite_kit.names()) == ("A", ["a"])
