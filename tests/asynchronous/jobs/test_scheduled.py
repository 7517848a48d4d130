"""The scheduler's load: many jobs at once, in phases, on a pool of five."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from flask import g
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import AppContextManager, PhaseResult, run_in_phases, session_manager

from ..scopes.conftest import MakeKit
from ..scopes.kit import AsyncKit

JOBS = 200

Job = Callable[[int], Coroutine[Any, Any, Any]]


class Jobs:
    """Two kinds of job, and the sessions that they were given."""

    def __init__(self, kit: AsyncKit) -> None:
        self.kit = kit
        self.sessions: list[AsyncSession] = []  # kept, so that each has an address of its own
        self.most = 0
        self.waiting = 0
        self.all_wait = asyncio.Event()

    async def wait(self) -> None:
        """Hold nothing until every job is here: they could not all be, if each held a connection."""
        self.waiting += 1
        if self.waiting == JOBS:
            self.most = self.kit.checkedout()
            self.all_wait.set()
        await self.all_wait.wait()

    async def report(self, number: int) -> int:
        """Store what was waited for; a fifth of these jobs fail."""
        g.number = number

        async def prepare(session: AsyncSession) -> int:
            self.sessions.append(session)
            session.add(self.kit.Item(name=f"report {number}", amount=0))
            await session.flush()
            return number

        async def execute(prepared: int) -> int:
            await self.wait()
            if number % 5 == 0:
                raise LookupError(number)
            return prepared + 1

        async def record(session: AsyncSession, result: PhaseResult[int]) -> None:
            assert g.number == number
            self.sessions.append(session)
            item = (await session.scalars(self.row(number))).one()
            item.amount = -1 if result.value is None else result.value

        return await run_in_phases(prepare, execute, record)

    async def sweep(self, number: int) -> int:
        """A helper that opens scopes of its own while the job waits."""

        async def execute(_: None) -> int:
            await self.wait()
            async with session_manager() as session:
                self.sessions.append(session)
                session.add(self.kit.Item(name=f"sweep {number}", amount=0))
            return number

        async def record(session: AsyncSession, result: PhaseResult[int]) -> None:
            changed = update(self.kit.Item).where(self.kit.Item.name == f"sweep {number}")
            await session.execute(changed.values(amount=result.value))

        return await run_in_phases(_nothing, execute, record)

    def row(self, number: int) -> Any:
        """The row of a report."""
        return select(self.kit.Item).where(self.kit.Item.name == f"report {number}")


async def _nothing(session: AsyncSession) -> None:
    """Prepare nothing."""


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "asyncmy"])
async def test_two_hundred_jobs_on_a_pool_of_five(make_kit: MakeKit, driver: str) -> None:
    """All wait at the same moment and none holds a connection; each ends for itself, and nothing is mixed up.

    With one session for all, asyncpg answers "another operation is in progress"; with a session for each job that is
    kept while it waits, the sixth gets no connection.
    """
    limits = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 30}
    kit = make_kit(driver, engine_options=limits)
    jobs, manager = Jobs(kit), AppContextManager(kit.app)
    kinds: list[Job] = [jobs.report, jobs.sweep]
    tasks = [manager.create_task(kinds[number % 2](number)) for number in range(JOBS)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [number for number, each in enumerate(results) if isinstance(each, LookupError)]
    assert failed == [number for number in range(0, JOBS, 2) if number % 5 == 0]
    done = [each for each in results if not isinstance(each, LookupError)]
    assert done == [
        number + (number % 2 == 0) for number in range(JOBS) if number % 2 or number % 5
    ]
    assert (jobs.most, kit.checkedout()) == (0, 0)
    assert len({id(each) for each in jobs.sessions}) == JOBS  # one for each job's own task
    assert len(kit.names()) == JOBS
    with kit.app.app_context():
        async with session_manager() as session:
            rows = (await session.execute(select(kit.Item.name, kit.Item.amount))).all()
    expected = {f"report {n}": -1 if n % 5 == 0 else n + 1 for n in range(0, JOBS, 2)}
    assert dict(map(tuple, rows)) == expected | {f"sweep {n}": n for n in range(1, JOBS, 2)}
