"""Ten thousand scopes in a row leave time and memory where they were."""

from __future__ import annotations

import gc
import statistics
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.apps import Site, dispose, safe, stock
from benchmarks.databases import SQLITE_MEMORY
from benchmarks.measure import cpu_time
from benchmarks.results import Result, Row, Target, microseconds
from flask_safesession import on_commit, session_manager

SCOPES = 10_000
WARM_UP = 500
WINDOW = 1_000
TIME_LIMIT = 1.10
BYTES_LIMIT = 64 * 1024
OBJECTS_LIMIT = 200

Step = Callable[[], object]


@dataclass(frozen=True)
class Growth:
    """What changed from the first scopes to the last; *machine* is what changed for hand-written units between them."""

    first: float
    last: float
    machine: float
    traced_bytes: int
    objects: int

    @property
    def slower(self) -> float:
        """The last scopes' time in terms of the first ones', on a machine that stays as it was."""
        return self.last / self.first / self.machine


def flat_cost(rounds: int) -> Result:
    """Measure growth over *rounds* scopes, with a context each and with one around all."""
    guarded, bare = safe(SQLITE_MEMORY), stock(SQLITE_MEMORY)
    with guarded.app.app_context():
        growths = {"in one app context": _growth(lambda: _scope(guarded), bare, rounds)}
    growths["an app context each"] = _growth(lambda: _context(guarded), bare, rounds)
    dispose(guarded, bare)
    window = min(WINDOW, rounds // 4)
    return Result(
        "Flat cost",
        "Each scope stores and deletes an object, with a joined scope and an `on_commit` hook. "
        f"Times are medians of the first and the last {window} scopes after {WARM_UP} to warm up. The same unit, "
        "hand-written in a stock app, takes turns with them: what it changes by is the machine, and is taken out of "
        "the ratio. Memory is counted in a second pass, after full collections.",
        (
            "what",
            "first µs",
            "last µs",
            "machine",
            "last / first",
            "traced bytes more",
            "objects more",
        ),
        [_row(f"{rounds} scopes, {name}", growth) for name, growth in growths.items()],
        [_target(f"{rounds} scopes, {name}", growth) for name, growth in growths.items()],
    )


def _context(site: Site) -> None:
    with site.app.app_context():
        _scope(site)


def _scope(site: Site) -> None:
    with session_manager():
        entry = site.entry(label="short-lived")
        site.db.session.add(entry)
        with session_manager():
            site.db.session.flush()
        site.db.session.delete(entry)
        on_commit(_hook)


def _hook() -> None:
    pass


def _by_hand(site: Site) -> None:
    with site.app.app_context():
        entry = site.entry(label="short-lived")
        site.db.session.add(entry)
        site.db.session.flush()
        site.db.session.delete(entry)
        site.db.session.commit()


def _growth(step: Step, bare: Site, scopes: int) -> Growth:
    _repeat(step, WARM_UP)
    _repeat(lambda: _by_hand(bare), WARM_UP)
    seconds, by_hand = zip(
        *((_timed(step), _timed(lambda: _by_hand(bare))) for _ in range(scopes)), strict=True
    )
    window = min(WINDOW, scopes // 4)
    traced, objects = _kept(step, scopes)
    first, last = _ends(seconds, window)
    machine_first, machine_last = _ends(by_hand, window)
    return Growth(first, last, machine_last / machine_first, traced, objects)


def _ends(seconds: Sequence[float], window: int) -> tuple[float, float]:
    """The medians of the first and of the last *window* of them."""
    return statistics.median(seconds[:window]), statistics.median(seconds[-window:])


def _kept(step: Step, scopes: int) -> tuple[int, int]:
    """Return how many bytes and objects *scopes* of them leave behind."""
    tracemalloc.start()
    try:
        _repeat(step, WARM_UP)
        before, objects_before = _memory()
        _repeat(step, scopes)
        after, objects_after = _memory()
    finally:
        tracemalloc.stop()
    return after - before, objects_after - objects_before


def _memory() -> tuple[int, int]:
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len(gc.get_objects())


def _repeat(step: Step, times: int) -> None:
    for _ in range(times):
        step()


def _timed(step: Step) -> float:
    start = cpu_time()
    step()
    return cpu_time() - start


def _row(name: str, growth: Growth) -> Row:
    return Row(
        (
            name,
            microseconds(growth.first),
            microseconds(growth.last),
            f"{growth.machine:.3f}",
            f"{growth.slower:.3f}",
            str(growth.traced_bytes),
            str(growth.objects),
        )
    )


def _target(name: str, growth: Growth) -> Target:
    flat = growth.slower <= TIME_LIMIT
    kept = growth.traced_bytes <= BYTES_LIMIT and growth.objects <= OBJECTS_LIMIT
    return Target(
        f"{name}: time <= {TIME_LIMIT:.2f} x, {BYTES_LIMIT // 1024} KiB, {OBJECTS_LIMIT} objects",
        f"{growth.slower:.3f} x, {growth.traced_bytes} bytes, {growth.objects} objects",
        flat and kept,
    )
