"""Run a plan on one side: send requests, start jobs and threads, and take the time."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, Table, insert

from example_app import database

from . import handwritten, handwritten_jobs, outside, safe
from .plan import KNOWN_BADGE, POOL, TAKEN_TAG, Group, Route, Unit


class Code(Protocol):
    """How each side is started outside a request; a module of functions fulfils it."""

    @property
    def run_job(self) -> Callable[[Flask, Sequence[Unit]], None]:
        """Work off several units in one job."""

    @property
    def start_thread(self) -> Callable[[Flask, Unit], threading.Thread]:
        """Store one unit in a thread of its own."""


@dataclass(frozen=True)
class Side:
    """One of the two applications, with its own engine, pool and tables."""

    title: str
    prefix: str
    app: Flask
    db: SQLAlchemy
    engine: Engine
    run_job: Callable[[Flask, Sequence[Unit]], None]
    start_thread: Callable[[Flask, Unit], threading.Thread]

    def table(self, name: str) -> Table:
        """Return the table called *name*, such as ``batch``."""
        return self.db.metadata.tables[f"{self.prefix}_{name}"]


@contextmanager
def handwritten_side(url: str) -> Iterator[Side]:
    """Set up the hand-written side, and remove its tables at the end."""
    app = handwritten.create_app(url)
    with _prepared("hand-written", handwritten.PREFIX, app, handwritten.db, handwritten) as side:
        try:
            yield side
        finally:
            with app.app_context():
                handwritten.close_leaks()


@contextmanager
def safe_side(url: str) -> Iterator[Side]:
    """Set up the side with Flask-SafeSession, and remove its tables at the end."""
    with _prepared("Flask-SafeSession", safe.PREFIX, safe.create_app(url), safe.db, safe) as side:
        yield side


@contextmanager
def _prepared(title: str, prefix: str, app: Flask, db: SQLAlchemy, code: Code) -> Iterator[Side]:
    app.logger.disabled = handwritten_jobs.logger.disabled = True
    app.after_request(_end_after_question)
    with app.app_context():
        engine = db.engine
    side = Side(title, prefix, app, db, engine, code.run_job, code.start_thread)
    database.prepare_sqlite(engine)
    _create_tables(side)
    try:
        yield side
    finally:
        app.extensions[POOL].shutdown()
        with app.app_context():
            db.drop_all()
        engine.dispose()


def _create_tables(side: Side) -> None:
    with side.app.app_context():
        side.db.drop_all()
        side.db.create_all()
    with side.engine.begin() as connection:
        connection.execute(insert(side.table("tag")).values(name=TAKEN_TAG))
        connection.execute(insert(side.table("badge")).values(id=KNOWN_BADGE))


def run_groups(side: Side, groups: Sequence[Group], advance: Callable[[int], None]) -> float:
    """Run the units of *groups*, telling *advance*, and return the wall time in seconds."""
    start = time.perf_counter()
    for group in groups:
        _run(side, group)
        advance(len(group.units))
    return time.perf_counter() - start


def _run(side: Side, group: Group) -> None:
    if group.route is Route.REQUEST:
        _post(side, "/units", group.units[0])
    elif group.route is Route.JOB:
        side.run_job(side.app, group.units)
    elif group.route is Route.THREAD:
        side.start_thread(side.app, group.units[0]).join()
    else:
        _run_behind(side, group.route, group.units[0])


def _post(side: Side, path: str, unit: Unit) -> None:
    side.app.test_client().post(path, json=unit.as_json())


def _run_behind(side: Side, route: Route, unit: Unit) -> None:
    """Send a request and wait until its job is done, too; the request ends before the job does."""
    outside.tariff.reset()
    free, pool = threading.Event(), side.app.extensions[POOL]
    if route is Route.LINES:
        pool.submit(free.wait, outside.PATIENCE)  # the only thread is busy for now
    _post(side, f"/units/{route.value}", unit)
    free.set()
    outside.tariff.may_answer.set()
    pool.submit(int).result(outside.PATIENCE)


def _end_after_question(response: Response) -> Response:
    """Let a request whose job asks for the tariff end no sooner than the job waits for it."""
    if request.path == f"/units/{Route.TARIFF.value}":
        outside.tariff.asked.wait(outside.PATIENCE)
    return response


def connections_out(side: Side) -> int:
    """Ask the pool how many connections nobody has given back, after a full garbage collection."""
    gc.collect()
    checked_out: Callable[[], int] | None = getattr(side.engine.pool, "checkedout", None)
    return checked_out() if checked_out else 0
