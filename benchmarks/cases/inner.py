"""What a scope costs inside another: joined, and with a savepoint, beside Django and zope."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.db.transaction import atomic

from benchmarks.apps import Site, dispose, safe, stock, work
from benchmarks.databases import SQLITE_MEMORY
from benchmarks.measure import Batch, Contender, Samples, interleaved
from benchmarks.neighbours import django_entry, django_work
from benchmarks.results import MICROSECOND, Result, Row, Target, at_most, microseconds
from flask_safesession import session_manager, transactional

JOINED = "session_manager(), joined"
DECORATED = "a @transactional function, joined"
DJANGO = "Django atomic(savepoint=False), inner"
COLUMNS = ("what", "median µs", "quartiles µs")

Block = Callable[[], AbstractContextManager[object]]


class _UndoneError(Exception):
    """Ends an outer transaction without keeping its rows."""


def _undo() -> None:
    raise _UndoneError


@contextmanager
def _undone(outer: AbstractContextManager[object], write: Callable[[], object]) -> Iterator[None]:
    """Hold *outer* open around a sample, after a first write."""
    try:
        with outer:
            write()
            yield
            _undo()
    except _UndoneError:
        pass


def joined(rounds: int) -> Result:
    """Measure inner scopes that join the outer one."""
    guarded = safe(SQLITE_MEMORY)
    contenders = {
        JOINED: Contender(_empty(session_manager), lambda: _scope(guarded)),
        DECORATED: Contender(_calls(), lambda: _scope(guarded)),
        DJANGO: Contender(_empty(lambda: atomic(savepoint=False)), _django_outer(django_entry())),
        "contextlib.nullcontext(), for scale": Contender(_empty(nullcontext)),
    }
    samples = interleaved(contenders, rounds=rounds, batch=500)
    dispose(guarded)
    return Result(
        "A joined inner scope",
        "One inner scope without statements, in an outer one that is open and has written, on "
        "SQLite in memory. The `for` loop around it is part of the time, the outer scope is not. "
        "zope.sqlalchemy has no counterpart: its transactions do not nest.",
        COLUMNS,
        _rows(samples),
        _joined_targets(samples),
    )


def savepoint(rounds: int) -> Result:
    """Measure inner scopes that set a savepoint."""
    plain, guarded, entry = stock(SQLITE_MEMORY), safe(SQLITE_MEMORY), django_entry()
    nested = _adding(guarded, lambda: session_manager(propagation="nested"))
    contenders = {
        "SQLAlchemy session.begin_nested(), stock app": Contender(
            _adding(plain, plain.db.session.begin_nested), lambda: _hand_written(plain)
        ),
        'session_manager(propagation="nested")': Contender(nested, lambda: _scope(guarded)),
        "Django atomic(), inner": Contender(_django_creating(entry), _django_outer(entry)),
    }
    samples = interleaved(contenders, rounds=rounds, batch=20)
    dispose(plain, guarded)
    return Result(
        "A savepoint scope",
        "SAVEPOINT, INSERT of one object, RELEASE in an outer transaction that is open and has "
        "written, on SQLite in memory. zope.sqlalchemy refuses savepoints on SQLite.",
        COLUMNS,
        _rows(samples),
    )


@contextmanager
def _scope(site: Site) -> Iterator[None]:
    with site.app.app_context(), _undone(session_manager(), lambda: work(site)):
        yield


@contextmanager
def _hand_written(site: Site) -> Iterator[None]:
    with site.app.app_context():
        work(site)
        yield
        site.db.session.rollback()


def _django_outer(entry: Any) -> Block:
    return lambda: _undone(atomic(), lambda: django_work(entry))


def _empty(block: Block) -> Batch:
    def run(times: int) -> None:
        for _ in range(times):
            with block():
                pass

    return run


def _calls() -> Batch:
    @transactional
    def service() -> None:
        pass

    def run(times: int) -> None:
        for _ in range(times):
            service()

    return run


def _adding(site: Site, block: Block) -> Batch:
    def run(times: int) -> None:
        for _ in range(times):
            with block():
                site.db.session.add(site.entry(label="inner"))

    return run


def _django_creating(entry: Any) -> Batch:
    def run(times: int) -> None:
        for _ in range(times):
            with atomic():
                entry.objects.create(label="inner")

    return run


def _rows(samples: dict[str, Samples]) -> list[Row]:
    return [
        Row((name, microseconds(found.median), " - ".join(map(microseconds, found.quartiles))))
        for name, found in samples.items()
    ]


def _joined_targets(samples: dict[str, Samples]) -> list[Target]:
    ours, django = samples[JOINED].median, samples[DJANGO].median
    return [
        at_most("A joined inner scope <= 3 µs", ours / MICROSECOND, 3.0, "µs"),
        Target(
            "A joined inner scope is cheaper than Django's atomic(savepoint=False)",
            f"{microseconds(ours)} µs against {microseconds(django)} µs",
            ours < django,
        ),
    ]
