"""Scopes in coroutines: what one costs, and a thousand of them at once on a pool of ten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from benchmarks.apps import FIRST, Site, dispose, stock
from benchmarks.databases import postgresql, server_version
from benchmarks.measure import Contender, Samples, interleaved, ratio, wall_time
from benchmarks.results import COMPARISON, Result, Row, Target, at_most, compared
from flask_safesession import SafeSession, session_manager, transactional

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

DRIVERS = ("psycopg", "asyncpg")
LIMIT = 1.05
SCOPES = 1_000
POOL = 10

BASELINE = "hand-written `async with async_session() as s, s.begin()`"
CONTROL = "the same in a second app (what the noise alone does)"
MANAGER = "async with session_manager()"
DECORATOR = "@transactional"

Factory = async_sessionmaker[AsyncSession]
Unit = Callable[[], Coroutine[Any, Any, str]]
Make = Callable[[Site, Factory], Unit]


def one_scope(rounds: int) -> Result:
    """Compare one scope at a time, on each driver."""
    rows: list[Row] = []
    targets: list[Target] = []
    with postgresql() as url:
        for driver in DRIVERS:
            with _contenders(url, driver, _one_by_one) as contenders:
                samples = interleaved(contenders, rounds=rounds, batch=1, clock=wall_time)
            rows += _rows(driver, samples)
            targets += [_target(driver, samples, name) for name in (MANAGER, DECORATOR)]
        version = server_version(url)
    return Result(
        f"An asynchronous unit of work on {version}",
        "One task in a fresh app context, on an event loop that lasts: make the session, INSERT one ORM object, SELECT "
        "one column of another row, COMMIT. All have an `async_sessionmaker` with the same options.",
        COMPARISON,
        rows,
        targets,
    )


def many_scopes(rounds: int) -> Result:
    """Compare a thousand at once, and count those that got no connection."""
    rows: list[Row] = []
    targets: list[Target] = []
    with postgresql() as url:
        for driver in DRIVERS:
            lost: list[BaseException] = []
            with _contenders(url, driver, _all_at_once(lost), BASELINE, MANAGER) as contenders:
                samples = interleaved(contenders, rounds=rounds, batch=SCOPES, clock=wall_time)
            rows += _rows(driver, samples)
            promise = f"{SCOPES} scopes at once on a pool of {POOL}, no pool timeout: {driver}"
            targets.append(Target(promise, f"{len(lost)} timeouts in {rounds} rounds", not lost))
        version = server_version(url)
    return Result(
        f"{SCOPES} tasks at once on {version}",
        f"The same unit of work in each of {SCOPES} tasks of one event loop, on a pool of {POOL} connections without "
        "overflow and with the stock time limit of 30 s. The time is that of all, divided by their number.",
        COMPARISON,
        rows,
        targets,
    )


async def _work(session: AsyncSession, site: Site) -> str:
    session.add(site.entry(label="written"))
    statement = sa.select(site.entry.label).where(site.entry.id == FIRST)
    return str((await session.scalars(statement)).one())


def _hand_written(site: Site, factory: Factory) -> Unit:
    async def unit() -> str:
        async with factory() as session, session.begin():
            return await _work(session, site)

    return unit


def _managed(site: Site, factory: Factory) -> Unit:
    SafeSession(site.app, factory)

    async def unit() -> str:
        async with session_manager() as session:
            return await _work(session, site)

    return unit


def _decorated(site: Site, factory: Factory) -> Unit:
    SafeSession(site.app, factory)

    @transactional
    async def unit() -> str:
        async with session_manager() as session:
            return await _work(session, site)

    return unit


UNITS: dict[str, Make] = {
    BASELINE: _hand_written,
    CONTROL: _hand_written,
    MANAGER: _managed,
    DECORATOR: _decorated,
}

Batch = Callable[[Unit, int], Coroutine[Any, Any, None]]


async def _one_by_one(unit: Unit, times: int) -> None:
    for _ in range(times):
        await unit()


def _all_at_once(lost: list[BaseException]) -> Batch:
    async def run(unit: Unit, times: int) -> None:
        for each in await asyncio.gather(*(unit() for _ in range(times)), return_exceptions=True):
            if isinstance(each, PoolTimeoutError):
                lost.append(each)
            elif isinstance(each, BaseException):
                raise each

    return run


@contextmanager
def _contenders(url: URL, driver: str, batch: Batch, *names: str) -> Iterator[dict[str, Contender]]:
    """An app, an engine and a unit of work for each, on one event loop."""
    loop = asyncio.new_event_loop()
    engines: list[AsyncEngine] = []
    found: dict[str, Contender] = {}
    for name in names or UNITS:
        site = stock(url)
        dispose(site)
        address = url.set(drivername=f"postgresql+{driver}")
        engine = create_async_engine(address, pool_size=POOL, max_overflow=0)
        engines.append(engine)
        unit = UNITS[name](site, async_sessionmaker(engine, expire_on_commit=False))
        found[name] = Contender(_running(loop, batch, unit), around=site.app.app_context)
    try:
        yield found
    finally:
        for engine in engines:
            loop.run_until_complete(engine.dispose())
        loop.close()


def _running(loop: asyncio.AbstractEventLoop, batch: Batch, unit: Unit) -> Callable[[int], None]:
    return lambda times: loop.run_until_complete(batch(unit, times))


def _rows(driver: str, samples: dict[str, Samples]) -> list[Row]:
    return [
        compared(f"{driver}: {name}", found, samples[BASELINE]) for name, found in samples.items()
    ]


def _target(driver: str, samples: dict[str, Samples], name: str) -> Target:
    found = ratio(samples[name], samples[BASELINE]).value
    return at_most(f"{name} on {driver} <= {LIMIT:.2f} x hand-written", found, LIMIT, "x")
