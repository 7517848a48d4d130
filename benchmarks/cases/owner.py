"""A scope that owns its transaction against the same statements with a hand-written commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.apps import Site, dispose, safe, stock, work
from benchmarks.databases import SQLITE_MEMORY, postgresql, server_version
from benchmarks.measure import Clock, Contender, Samples, cpu_time, interleaved, ratio, wall_time
from benchmarks.results import COMPARISON, Result, Row, Target, at_most, compared
from flask_safesession import session_manager, transactional

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

BASELINE = "hand-written try/commit/except/rollback, stock app"
CONTROL = "the same on a second stock app (what the noise alone does)"
MANAGER = "session_manager"
DECORATOR = "@transactional"
IGNORED = "hand-written, in the app with the extension"

UNIT = (
    "One unit of work in a fresh app context: make the session, INSERT one ORM object, SELECT one "
    "column of another row, COMMIT. All rows use `db.session`, the same model and engine options. "
    "What the context itself costs is measured below."
)


def sqlite_memory(rounds: int) -> Result:
    """Compare on SQLite in memory."""
    samples = _measured(SQLITE_MEMORY, rounds, cpu_time)
    title = "Unit of work on SQLite in memory"
    return Result(title, UNIT, COMPARISON, _rows(samples), _targets("SQLite", samples, 1.05, 1.08))


def postgresql_server(rounds: int) -> Result:
    """Compare on PostgreSQL."""
    with postgresql() as url:
        title = f"Unit of work on {server_version(url)}"
        samples = _measured(url, rounds, wall_time)
    targets = _targets("PostgreSQL", samples, 1.02, 1.02)
    return Result(title, UNIT, COMPARISON, _rows(samples), targets)


def _measured(url: URL, rounds: int, clock: Clock) -> dict[str, Samples]:
    # An app each: contenders that share one find its objects in the processor's caches.
    sites = [stock(url), stock(url), safe(url), safe(url), safe(url)]
    works = (hand_written, hand_written, managed, decorated, hand_written)
    names = (BASELINE, CONTROL, MANAGER, DECORATOR, IGNORED)
    contenders = {
        name: work_of(site) for name, work_of, site in zip(names, works, sites, strict=True)
    }
    try:
        # One unit in a sample: what another process steals then falls on one unit, not on a batch.
        return interleaved(contenders, rounds=rounds, batch=1, clock=clock)
    finally:
        dispose(*sites)


def hand_written(site: Site) -> Contender:
    def run(times: int) -> None:
        for _ in range(times):
            try:
                work(site)
                site.db.session.commit()
            except Exception:
                site.db.session.rollback()
                raise

    return Contender(run, around=site.app.app_context)


def managed(site: Site) -> Contender:
    def run(times: int) -> None:
        for _ in range(times):
            with session_manager():
                work(site)

    return Contender(run, around=site.app.app_context)


def decorated(site: Site) -> Contender:
    @transactional
    def unit() -> str:
        return work(site)

    def run(times: int) -> None:
        for _ in range(times):
            unit()

    return Contender(run, around=site.app.app_context)


def _rows(samples: dict[str, Samples]) -> list[Row]:
    return [compared(name, found, samples[BASELINE]) for name, found in samples.items()]


def _targets(
    database: str, samples: dict[str, Samples], manager: float, decorator: float
) -> list[Target]:
    return [
        at_most(
            f"{name} on {database} <= {limit:.2f} x hand-written",
            ratio(samples[name], samples[BASELINE]).value,
            limit,
            "x",
        )
        for name, limit in ((MANAGER, manager), (DECORATOR, decorator))
    ]
