"""What a job in a thread costs, and that many of them leave nothing behind."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from benchmarks.apps import Site, dispose, safe, stock, work
from benchmarks.databases import SQLITE_MEMORY, postgresql
from benchmarks.measure import Batch, Contender, interleaved, ratio
from benchmarks.results import COMPARISON, Result, Row, Target, at_most, compared
from flask_safesession import AppContextManager

JOBS = 10_000
LIMIT = 1.15
WARM_UP = 200
BYTES_LIMIT = 64 * 1024

HAND_WRITTEN = "ThreadPoolExecutor, `with app.app_context()` in the job"
EXECUTOR = "AppContextExecutor"


def submit_to_result(rounds: int) -> Result:
    """Measure a job that does nothing, from ``submit`` to the end of ``result()``."""
    plain, guarded = stock(SQLITE_MEMORY), safe(SQLITE_MEMORY)
    with (
        ThreadPoolExecutor(1) as pool,
        AppContextManager(guarded.app).executor(1) as executor,
        _flask_executor(plain.app) as others,
    ):
        contenders = {
            HAND_WRITTEN: Contender(_hand_written(pool, guarded.app)),
            EXECUTOR: Contender(_submitting(executor)),
            "ThreadPoolExecutor, the same in an app without the extension": Contender(
                _hand_written(pool, plain.app)
            ),
            **{name: Contender(run) for name, run in others.items()},
        }
        samples = interleaved(contenders, rounds=rounds, batch=50)
    dispose(plain, guarded)
    found = ratio(samples[EXECUTOR], samples[HAND_WRITTEN])
    return Result(
        "A job in a thread",
        "A function that does nothing, from `submit` to the end of `result()`, one at a time. "
        "Flask-Executor 1.0 is measured in a request, if it is installed: elsewhere its `submit` fails on Flask 3.",
        COMPARISON,
        [compared(name, each, samples[HAND_WRITTEN]) for name, each in samples.items()],
        [
            at_most(
                f"{EXECUTOR} <= {LIMIT} x a hand-written app context in a ThreadPoolExecutor",
                found.value,
                LIMIT,
                "x",
            )
        ],
    )


def many_jobs(rounds: int) -> Result:
    """Count what *rounds* jobs that write leave behind."""
    with postgresql() as url:
        guarded = safe(url)
        with AppContextManager(guarded.app, transactional=True).executor(4) as executor:
            before, after = _around(guarded, executor, rounds)
        dispose(guarded)
    more = {name: after[name] - before[name] for name in before}
    kept = more.pop("traced bytes")
    return Result(
        "What jobs leave behind",
        f"{rounds} jobs in four threads on PostgreSQL, each a scope with an INSERT and a SELECT. {WARM_UP} jobs ran "
        "before, to warm up.",
        ("what", "before", "after"),
        [Row((name, str(before[name]), str(after[name]))) for name in before],
        [
            Target(
                f"{rounds} jobs leave threads, connections and sessions where they were, and {BYTES_LIMIT // 1024} KiB",
                f"{', '.join(f'{name} {change:+d}' for name, change in more.items())}, {kept:+d} bytes",
                not any(more.values()) and kept <= BYTES_LIMIT,
            )
        ],
    )


def _around(site: Site, executor: Executor, rounds: int) -> tuple[dict[str, int], dict[str, int]]:
    tracemalloc.start()
    _repeat(site, executor, WARM_UP)
    before = _left(site)
    _repeat(site, executor, rounds)
    after = _left(site)
    tracemalloc.stop()
    return before, after


def _repeat(site: Site, executor: Executor, times: int) -> None:
    for _ in range(0, times, WARM_UP):
        list(executor.map(_work, [site] * WARM_UP))


def _work(site: Site) -> None:
    work(site)


def _left(site: Site) -> dict[str, int]:
    gc.collect()
    with site.app.app_context():
        pool: Any = site.db.engine.pool
    return {
        "threads": threading.active_count(),
        "connections out": pool.checkedout(),
        "sessions": sum(issubclass(type(each), Session) for each in gc.get_objects()),
        "traced bytes": tracemalloc.get_traced_memory()[0],
    }


def _nothing() -> None:
    pass


def _submitting(executor: Executor) -> Batch:
    def run(times: int) -> None:
        for _ in range(times):
            executor.submit(_nothing).result()

    return run


def _hand_written(executor: Executor, app: Flask) -> Batch:
    def job() -> None:
        with app.app_context():
            _nothing()

    def run(times: int) -> None:
        for _ in range(times):
            executor.submit(job).result()

    return run


@contextmanager
def _flask_executor(app: Flask) -> Iterator[dict[str, Batch]]:
    """Flask-Executor's, if it can be imported."""
    try:
        from flask_executor import Executor as FlaskExecutor
    except ImportError:
        yield {}
        return
    app.config["EXECUTOR_MAX_WORKERS"] = 1
    executor = FlaskExecutor(app)

    def run(times: int) -> None:
        with app.test_request_context():
            for _ in range(times):
                executor.submit(_nothing).result()

    yield {"Flask-Executor, in a request": run}
    executor.shutdown()
