"""What phases buy: jobs that wait for something outside of the database, with more threads than connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.databases import postgresql
from benchmarks.results import Result, Row, Target
from flask_safesession import (
    AppContextManager,
    PhaseResult,
    SafeSession,
    run_in_phases,
    session_manager,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

WORKERS = 64
CONNECTIONS = 5
CALL = 0.05  # seconds
TIMES = 8
ROUNDS = 3

TITLE = "Jobs that wait for something else, on PostgreSQL"
EXPLANATION = (
    f"{WORKERS} threads share {CONNECTIONS} connections (`max_overflow` 0, `pool_timeout` 30 s). "
    "Each job, in an app context of its own, marks a row as running, waits "
    f"{CALL * 1000:.0f} ms for an answer from outside, and stores it. The subject is waiting, so "
    "the rest is cheap: the driver is psycopg2, both statements are one UPDATE without ORM objects, "
    "made once, and the connections have `synchronous_commit` off, which keeps the disk out. The "
    f"contenders take turns, {ROUNDS} times; the median counts. Jobs that got no connection are not counted."
)


class Base(DeclarativeBase):
    """The declarative base of the jobs."""


class Job(Base):
    """One job."""

    __tablename__ = "job"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(sa.String(20))


@dataclass(frozen=True)
class Pace:
    """How fast jobs were done."""

    per_second: float
    timeouts: int


Work = Callable[[int], object]


def throughput(jobs: int) -> Result:
    """Measure how many jobs a second are done, with one scope around each and in phases."""
    with postgresql() as url:
        app, db = _app(url.set(drivername="postgresql+psycopg2"))
        paces = _measured(app, jobs)
        with app.app_context():
            db.engine.dispose()
    held, phases = paces["one scope around the job"], paces["run_in_phases()"]
    rows = [_row(name, pace, held) for name, pace in paces.items()]
    columns = ("what", "jobs a second", "x one scope", "pool timeouts")
    return Result(TITLE, EXPLANATION, columns, rows, [_target(held, phases)])


def _app(url: URL) -> tuple[Flask, SQLAlchemy]:
    app = Flask("benchmarks")
    db = SQLAlchemy(model_class=Base)
    fast = {"options": "-c synchronous_commit=off"}
    pool = {"pool_size": CONNECTIONS, "max_overflow": 0, "pool_timeout": 30}
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS={**pool, "connect_args": fast}
    )
    db.init_app(app)
    SafeSession(app, db)
    with app.app_context():
        Base.metadata.create_all(db.engine)
    return app, db


def _measured(app: Flask, jobs: int) -> dict[str, Pace]:
    works: dict[str, Work] = {"one scope around the job": _held, "run_in_phases()": _in_phases}
    rounds: dict[str, list[Pace]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            rounds[name].append(_pace(app, work, jobs))
    return {name: _median(paces) for name, paces in rounds.items()}


def _median(paces: list[Pace]) -> Pace:
    middle = sorted(each.per_second for each in paces)[len(paces) // 2]
    return Pace(middle, sum(each.timeouts for each in paces))


def _pace(app: Flask, work: Work, jobs: int) -> Pace:
    _fill(app, jobs)
    # Alone: SQLAlchemy makes classes for the first UPDATE, and where many threads do so at once, some of those are made
    # without 'inherit_cache', and every UPDATE of the process is compiled anew.
    _worker(app, work, iter([1]), threading.Barrier(1))
    ids = iter(range(1, jobs + 1))
    start = threading.Barrier(WORKERS + 1)
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(_worker, app, work, ids, start) for _ in range(WORKERS)]
        start.wait()
        began = time.perf_counter()
        timeouts = sum(each.result() for each in workers)
        return Pace((jobs - timeouts) / (time.perf_counter() - began), timeouts)


def _worker(app: Flask, work: Work, ids: Iterator[int], start: threading.Barrier) -> int:
    """Do jobs until none is left; the pool timeouts."""
    start.wait()
    timeouts = 0
    for job in ids:
        try:
            with AppContextManager(app):
                work(job)
        except PoolTimeoutError:
            timeouts += 1
    return timeouts


def _held(job: int) -> None:
    with session_manager() as session:
        _begin(session, job)
        _answer(job)
        _store(session, job, "succeeded")


def _in_phases(job: int) -> None:
    def prepare(session: Session) -> int:
        return _begin(session, job)

    def record(session: Session, result: PhaseResult[None]) -> None:
        _store(session, job, result.status)

    run_in_phases(prepare, _answer, record)


def _begin(session: Session, job: int) -> int:
    _store(session, job, "running")
    return job


def _answer(job: int) -> None:
    """Wait for somebody else, who never answers: the time limit is the answer."""
    threading.Event().wait(CALL)


_TABLE = Base.metadata.tables[Job.__tablename__]
_STORE = (
    sa.update(_TABLE)
    .where(_TABLE.c.id == sa.bindparam("job"))
    .values(status=sa.bindparam("new_status"))
)


def _store(session: Session, job: int, status: str) -> None:
    session.execute(_STORE, {"job": job, "new_status": status})


def _fill(app: Flask, jobs: int) -> None:
    with app.app_context(), session_manager() as session:
        session.execute(sa.delete(Job))
        rows: list[dict[str, Any]] = [
            {"id": job, "status": "waiting"} for job in range(1, jobs + 1)
        ]
        session.execute(sa.insert(Job), rows)


def _row(name: str, pace: Pace, held: Pace) -> Row:
    against = pace.per_second / held.per_second
    return Row((name, f"{pace.per_second:.0f}", f"{against:.1f}", str(pace.timeouts)))


def _target(held: Pace, phases: Pace) -> Target:
    against = phases.per_second / held.per_second
    return Target(
        f"{WORKERS} workers on {CONNECTIONS} connections: phases >= {TIMES} x one scope around, 0 pool timeouts",
        f"{against:.1f} x, {phases.timeouts} timeouts",
        against >= TIMES and phases.timeouts == 0,
    )
