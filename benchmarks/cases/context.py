"""What an app context costs that never touches the database."""

from __future__ import annotations

from flask import Flask

from benchmarks.apps import dispose, safe, stock
from benchmarks.databases import SQLITE_MEMORY
from benchmarks.measure import Contender, interleaved
from benchmarks.results import COMPARISON, MICROSECOND, Result, at_most, compared

STOCK = "Flask-SQLAlchemy"
SAFE = "Flask-SQLAlchemy and the extension"


def untouched_context(rounds: int) -> Result:
    """Measure pushing and popping an app context."""
    plain, guarded = stock(SQLITE_MEMORY), safe(SQLITE_MEMORY)
    contenders = {
        STOCK: _pushing(plain.app),
        SAFE: _pushing(guarded.app),
        "Flask alone": _pushing(Flask("benchmarks")),
    }
    samples = interleaved(contenders, rounds=rounds, batch=100)
    dispose(plain, guarded)
    more = (samples[SAFE].median - samples[STOCK].median) / MICROSECOND
    return Result(
        "An app context that never touches the database",
        "`with app.app_context(): pass`.",
        COMPARISON,
        [compared(name, found, samples[STOCK]) for name, found in samples.items()],
        [
            at_most(
                "An untouched app context <= 10 µs more than without the extension",
                more,
                10.0,
                "µs",
            )
        ],
    )


def _pushing(app: Flask) -> Contender:
    def run(times: int) -> None:
        for _ in range(times):
            with app.app_context():
                pass

    return Contender(run)
