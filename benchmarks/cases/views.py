"""Requests to async views under WSGI: a connection for each, or the portal with connections that stay open."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from benchmarks.apps import FIRST, Site, dispose, stock
from benchmarks.databases import postgresql, server_version
from benchmarks.measure import Contender, interleaved, ratio, wall_time
from benchmarks.results import COMPARISON, Result, Target, compared
from flask_safesession import SafeSession, session_manager

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

THREADS = 4
LEAST = 3.0

BY_HAND = "an engine with NullPool, by hand, without the extension"
LOOPS = "session_manager, an event loop for each request"
PORTAL = "session_manager, SAFESESSION_ASYNC_PORTAL"


def async_views(rounds: int) -> Result:
    """Measure a request that reads one row, in an async view."""
    with postgresql() as url, ThreadPoolExecutor(THREADS) as pool:
        sites = {name: make(url) for name, make in _SITES.items()}
        contenders = {name: _requests(site, pool) for name, site in sites.items()}
        samples = interleaved(contenders, rounds=rounds, batch=25 * THREADS, clock=wall_time)
        dispose(*sites.values())
        version = server_version(url)
    found = ratio(samples[LOOPS], samples[PORTAL])
    return Result(
        f"Requests to async views on {version}",
        f"One SELECT in `async def`, through Flask's test client in {THREADS} threads. Flask gives each a loop, "
        "which a connection cannot outlive; the portal is one loop for all.",
        COMPARISON,
        [compared(name, each, samples[LOOPS]) for name, each in samples.items()],
        [
            Target(
                f"The portal answers >= {LEAST:g} x the requests per second of a connection for each request",
                f"{found.value:.2f} x ({found.low:.2f} - {found.high:.2f})",
                found.value >= LEAST,
            )
        ],
    )


def _requests(site: Site, pool: ThreadPoolExecutor) -> Contender:
    def request(_: int) -> str:
        return site.app.test_client().get("/").text

    # SQLAlchemy's first connections, opened by several threads at a time, wait for each other without end.
    request(0)

    def run(times: int) -> None:
        list(pool.map(request, range(times)))

    return Contender(run)


async def _work(session: AsyncSession, site: Site) -> str:
    statement = sa.select(site.entry.label).where(site.entry.id == FIRST)
    return str((await session.scalars(statement)).one())


def _by_hand(url: URL) -> Site:
    site = stock(url)
    engine = create_async_engine(url, poolclass=sa.NullPool)

    @site.app.get("/")
    async def view() -> str:
        async with AsyncSession(engine) as session, session.begin():
            return await _work(session, site)

    return site


def managed(url: URL, *, portal: bool, **options: Any) -> Site:
    """An app whose async view has a scope; *options* are settings of the extension."""
    site = stock(url)
    SafeSession(site.app, site.db, async_portal=portal, **options)

    @site.app.get("/")
    async def view() -> str:
        async with session_manager() as session:
            return await _work(session, site)

    return site


_SITES: dict[str, Callable[[URL], Site]] = {
    BY_HAND: _by_hand,
    LOOPS: lambda url: managed(url, portal=False),
    PORTAL: lambda url: managed(url, portal=True),
}
