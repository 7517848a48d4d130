"""Requests with asynchronous sessions: Advanced Alchemy's Flask extension beside ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import Flask

from benchmarks.apps import FIRST, Site, dispose, stock
from benchmarks.cases.views import LOOPS, PORTAL, managed
from benchmarks.databases import postgresql, server_version
from benchmarks.measure import Contender, interleaved, wall_time
from benchmarks.results import COMPARISON, Result, Row, compared

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

COUNTED = 40
ON_ITS_PORTAL = "Advanced Alchemy, its portal in a plain view"
AWAITED = "Advanced Alchemy, awaited in an async view"


def requests(rounds: int) -> Result:
    """Measure a request that reads one row, one at a time, and count those that fail on another driver."""
    with postgresql() as url:
        stocked = stock(url)
        apps = {name: make(url, stocked) for name, make in _APPS.items()}
        contenders = {name: Contender(_requests(app)) for name, app in apps.items()}
        samples = interleaved(contenders, rounds=rounds, batch=20, clock=wall_time)
        others = {name: make(_asyncpg(url), stocked) for name, make in _APPS.items()}
        failures = {name: _failures(app) for name, app in others.items()}
        dispose(stocked)
        version = server_version(url)
    timed = [compared(name, each, samples[PORTAL]) for name, each in samples.items()]
    columns = (*COMPARISON, "failed on asyncpg")
    rows = [
        Row((*row.cells, f"{failures[name]} of {COUNTED}"))
        for name, row in zip(samples, timed, strict=True)
    ]
    return Result(
        f"Requests with asynchronous sessions on {version}",
        "One SELECT through Flask's test client in one thread, on psycopg. Advanced Alchemy stops its event loop at "
        "each teardown, and keeps the connections; psycopg lets another loop use them, asyncpg does not. In several "
        "threads its requests wait for a loop that another one has stopped, so there is no row for that.",
        columns,
        rows,
    )


def _requests(app: Flask) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            if app.test_client().get("/").status_code != 200:
                raise RuntimeError("A request has failed, so there is nothing to time.")

    return run


def _failures(app: Flask) -> int:
    app.logger.disabled = True
    return sum(app.test_client().get("/").status_code != 200 for _ in range(COUNTED))


def _asyncpg(url: URL) -> URL:
    return url.set(drivername="postgresql+asyncpg")


def _ours(url: URL, *, portal: bool) -> Flask:
    # Flask-SQLAlchemy itself stays on psycopg.
    blocking = url.set(drivername="postgresql+psycopg")
    return managed(blocking, portal=portal, async_engines={None: url}).app


def _advanced(url: URL, stocked: Site, *, awaited: bool) -> Flask:
    from advanced_alchemy.extensions.flask import AdvancedAlchemy, SQLAlchemyAsyncConfig

    app = Flask("advanced")
    address = url.render_as_string(hide_password=False)
    alchemy = AdvancedAlchemy(SQLAlchemyAsyncConfig(connection_string=address), app)
    statement = sa.select(stocked.entry.label).where(stocked.entry.id == FIRST)

    async def view() -> str:
        return str((await alchemy.get_async_session().scalars(statement)).one())

    def plain() -> str:
        session: Any = alchemy.get_async_session()
        return str(alchemy.portal_provider.portal.call(session.scalars, statement).one())

    app.add_url_rule("/", view_func=view if awaited else plain)
    return app


_APPS: dict[str, Callable[[URL, Site], Flask]] = {
    PORTAL: lambda url, _: _ours(url, portal=True),
    LOOPS: lambda url, _: _ours(url, portal=False),
    ON_ITS_PORTAL: lambda url, stocked: _advanced(url, stocked, awaited=False),
    AWAITED: lambda url, stocked: _advanced(url, stocked, awaited=True),
}
