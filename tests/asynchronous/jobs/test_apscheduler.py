"""Coroutine functions as jobs of an ``AsyncIOScheduler``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from flask import current_app, g

from flask_safesession import current_scope, run_in_phases, session_manager

from ..scopes.kit import AsyncKit

pytest.importorskip("apscheduler")

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor as ThreadExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from flask_safesession.contrib.apscheduler import add_job_on_commit, init_scheduler, job_options


class Bench:
    """A scheduler that runs on the event loop of the test, and what it has told its listeners."""

    def __init__(self, kit: AsyncKit, **options: Any) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.scheduler = AsyncIOScheduler()
        init_scheduler(self.scheduler, kit.app, **options)
        self.scheduler.add_listener(self.events.put_nowait, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        self.scheduler.start()

    async def run(self, *jobs: Callable[..., Any]) -> list[Any]:
        """What the events of *jobs* say: a value or an exception."""
        for job in jobs:
            self.scheduler.add_job(job)
        events = [await asyncio.wait_for(self.events.get(), 20) for _ in jobs]
        return [each.exception or each.retval for each in events]

    async def stop(self) -> None:
        """Shut down, which takes a round of the loop."""
        self.scheduler.shutdown()
        await asyncio.sleep(0)
        assert not self.scheduler.running


async def test_a_job_commits(kit: AsyncKit) -> None:
    """It runs in a context, a transaction and a session of its own, on the event loop of the scheduler."""
    bench, sessions, loop = Bench(kit, transactional=True), [], asyncio.get_running_loop()

    async def store() -> str:
        assert asyncio.get_running_loop() is loop
        scope = current_scope()
        assert scope is not None
        async with session_manager() as session:
            sessions.append(session)
            session.add(kit.Item(name=f"item {len(sessions)}"))
        assert list(g) == []
        g.number = 1
        return current_app.name

    assert await bench.run(store, store) == [kit.app.name] * 2
    await bench.stop()
    assert (len({id(each) for each in sessions}), kit.names()) == (2, ["item 1", "item 2"])


async def test_an_error_is_an_event(kit: AsyncKit) -> None:
    """The job is rolled back, and the others go on; a job may say that it is in no transaction."""
    bench = Bench(kit, transactional=True)

    async def fail() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            await session.flush()
        raise KeyError

    @job_options(transactional=False)
    async def in_phases() -> str:
        async def execute(prepared: str) -> str:
            assert current_scope() is None
            return prepared.upper()

        def record(session: Any, result: Any) -> None:
            session.add(kit.Item(name=result.value))

        return str(await run_in_phases(lambda _: "stored", execute, record))

    found = await bench.run(fail, in_phases)
    await bench.stop()
    assert {type(each) for each in found} == {KeyError, str}
    assert (kit.names(), kit.checkedout()) == (["STORED"], 0)


async def test_on_commit(kit: AsyncKit) -> None:
    """The job is added after the COMMIT."""
    bench = Bench(kit)

    async def names() -> list[str]:
        return kit.names()

    async with session_manager() as session:
        session.add(kit.Item(name="stored"))
        add_job_on_commit(bench.scheduler, names)
        assert bench.scheduler.get_jobs() == []
    assert await bench.run() == []
    event = await asyncio.wait_for(bench.events.get(), 20)
    await bench.stop()
    assert event.retval == ["stored"]


async def test_another_executor_is_refused(sqlite_kit: AsyncKit) -> None:
    """A pool of threads awaits nothing, whoever the scheduler is."""
    bench = Bench(sqlite_kit)
    bench.scheduler.add_executor(ThreadExecutor(pool_kwargs={}), "threads")

    async def work() -> None: ...

    with pytest.raises(
        TypeError, match=r"'.*work' is a coroutine function, and its executor awaits"
    ):
        bench.scheduler.add_job(work, executor="threads")
    job = bench.scheduler.add_job(print, "interval", hours=1, executor="threads")
    with pytest.raises(
        TypeError, match=r"'.*work' is a coroutine function, and its executor awaits"
    ):
        job.modify(func=work)
    await bench.stop()
