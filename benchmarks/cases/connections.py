"""What watching costs where nothing fails: a connection that is taken and given back, and a COMMIT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from benchmarks.apps import Site, dispose, safe, stock
from benchmarks.databases import postgresql, server_version
from benchmarks.measure import Contender, Samples, interleaved
from benchmarks.results import COMPARISON, MICROSECOND, Result, Row, Target, at_most, compared

if TYPE_CHECKING:
    from sqlalchemy.orm import scoped_session

STOCK = "Flask-SQLAlchemy"
SAFE = "Flask-SQLAlchemy and the extension"
MOST_FOR_A_CHECKOUT = 4.0
MOST_FOR_A_COMMIT = 1.0
OPEN = 5  # connections: more than the pool keeps would be closed by their COMMIT


def checkout(rounds: int) -> Result:
    """Measure a connection that goes out of a queue pool and comes back, by itself and around a SELECT."""
    with _both() as (plain, guarded, server):
        bare = _measured(_taking(plain), _taking(guarded), rounds, 100)
        selecting = _measured(_selecting(plain), _selecting(guarded), rounds // 4, 20)
    return Result(
        "A connection, taken and given back",
        f"`engine.raw_connection()` and `close()`, then `with engine.connect()` around `SELECT 1` on {server}, by code "
        "that uses no session: who holds it is noted. CPU time.",
        COMPARISON,
        [*_rows(bare), *_rows(selecting, ", SELECT 1")],
        [
            _target("Checkout and checkin", bare, MOST_FOR_A_CHECKOUT),
            _target("The same around a SELECT", selecting, MOST_FOR_A_CHECKOUT),
        ],
    )


def commit(rounds: int) -> Result:
    """Measure the COMMITs of connections and of sessions that have read something; reading is not timed."""
    with _both() as (plain, guarded, server):
        connections = _measured(_of_connections(plain), _of_connections(guarded), rounds, OPEN)
        sessions = _measured(_of_sessions(plain), _of_sessions(guarded), rounds, OPEN)
    return Result(
        "A COMMIT",
        f"`Connection.commit()` and `db.session.commit()` after `SELECT 1` on {server}, {OPEN} of them one after the "
        "other, each with a connection of its own that is open before. CPU time of one call.",
        COMPARISON,
        [*_rows(connections, ", connection"), *_rows(sessions, ", session")],
        [
            _target("COMMIT of a connection", connections, MOST_FOR_A_COMMIT),
            _target("COMMIT of a session", sessions, MOST_FOR_A_COMMIT),
        ],
    )


@contextmanager
def _both() -> Iterator[tuple[Site, Site, str]]:
    with postgresql() as url:
        plain, guarded = stock(url), safe(url)
        yield plain, guarded, server_version(url)
        dispose(plain, guarded)


def _measured(plain: Contender, guarded: Contender, rounds: int, batch: int) -> dict[str, Samples]:
    return interleaved({STOCK: plain, SAFE: guarded}, rounds=rounds, batch=batch)


def _rows(samples: dict[str, Samples], what: str = "") -> list[Row]:
    return [compared(f"{name}{what}", each, samples[STOCK]) for name, each in samples.items()]


def _target(what: str, samples: dict[str, Samples], limit: float) -> Target:
    more = (samples[SAFE].median - samples[STOCK].median) / MICROSECOND
    return at_most(f"{what} <= {limit:.0f} µs more than without the extension", more, limit, "µs")


def _taking(site: Site) -> Contender:
    engine = _engine(site)

    def run(times: int) -> None:
        for _ in range(times):
            engine.raw_connection().close()

    return Contender(run, site.app.app_context)


def _selecting(site: Site) -> Contender:
    engine = _engine(site)

    def run(times: int) -> None:
        for _ in range(times):
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")

    return Contender(run, site.app.app_context)


def _of_connections(site: Site) -> Contender:
    engine = _engine(site)
    kept: list[sa.Connection] = []

    @contextmanager
    def around() -> Iterator[None]:
        with ExitStack() as stack:
            kept[:] = [stack.enter_context(engine.connect()) for _ in range(OPEN)]
            for connection in kept:
                connection.exec_driver_sql("SELECT 1")
            yield

    return Contender(lambda _: _commit_all(kept), around)


def _of_sessions(site: Site) -> Contender:
    session: scoped_session[Any] = site.db.session
    kept: list[Any] = []

    @contextmanager
    def around() -> Iterator[None]:
        with ExitStack() as stack:
            kept.clear()
            for _ in range(OPEN):
                stack.enter_context(site.app.app_context())
                session.execute(sa.text("SELECT 1"))
                kept.append(session())
            yield

    return Contender(lambda _: _commit_all(kept), around)


def _commit_all(opened: list[Any]) -> None:
    for each in opened:
        each.commit()


def _engine(site: Site) -> sa.Engine:
    with site.app.app_context():
        return site.db.engine
