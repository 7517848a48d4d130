"""Fixtures: the databases, the kits, and the check after every test that nothing is left."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, cast

import pytest
from flask import Flask, has_app_context
from flask.ctx import AppContext
from flask.globals import app_ctx
from werkzeug.local import LocalProxy

from .brokers import RABBITMQ, REDIS, Broker, find_broker
from .databases import (
    EVERY,
    MAIN,
    POSTGRESQL_VARIABLE,
    REQUIRE_VARIABLE,
    Database,
    DatabaseMissingError,
    Databases,
    DriverMissingError,
    Server,
    end_connections,
    find_postgresql,
    required,
    start_embedded,
    worker_label,
)
from .kit import FLAVOURS, Flavour, Kit, MakeKit, Tables
from .kit import make_kit as make_kit_on
from .workers import StartWorker, Worker

_controller_server = pytest.StashKey[Server]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the embedded PostgreSQL once, in the process that starts the xdist workers."""
    if not session.config.getoption("numprocesses", None) or session.config.option.collectonly:
        return
    try:
        server = find_postgresql(os.environ, "127.0.0.1:5432", start_embedded)
    except DatabaseMissingError:
        return  # each test that needs it says so
    session.config.stash[_controller_server] = server
    os.environ[POSTGRESQL_VARIABLE] = server.url.render_as_string(hide_password=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the embedded PostgreSQL after the last worker has ended."""
    if (server := config.stash.get(_controller_server, None)) is not None:
        server.stop()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The databases of this worker."""
    databases = Databases(worker_label(), tmp_path_factory.mktemp("databases"))
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def tables() -> Tables:
    """The tables of this worker."""
    return Tables()


class Wanted:
    """The databases of one test, each prepared when it is first asked for."""

    def __init__(self, databases: Databases, tables: Tables) -> None:
        self._databases = databases
        self._tables = tables
        self._got: dict[str, Database] = {}

    def get(self, name: str) -> Database:
        """Return the database called *name*, its tables empty; skip or fail where it is missing."""
        if name not in self._got:
            self._got[name] = self._prepare(name)
        return self._got[name]

    def _prepare(self, name: str) -> Database:
        try:
            database = self._databases.get(name)
        except DatabaseMissingError as error:
            missing(name, error)
        self._tables.prepare(database)
        return database


def missing(name: str, error: DatabaseMissingError) -> NoReturn:
    """Skip the test, or fail it where the server is required."""
    if name.partition("-")[0] in required() and not isinstance(error, DriverMissingError):
        pytest.fail(f"{error} (required by {REQUIRE_VARIABLE})", pytrace=False)
    pytest.skip(str(error))


@pytest.fixture
def wanted(databases: Databases, tables: Tables) -> Wanted:
    """The databases of this test, by name."""
    return Wanted(databases, tables)


def _parameters(names: tuple[str, ...]) -> list[Any]:
    marks = {"postgresql": [pytest.mark.postgresql], "mariadb": [pytest.mark.mariadb]}
    return [pytest.param(name, marks=marks.get(name.partition("-")[0], [])) for name in names]


@pytest.fixture(params=_parameters(MAIN))
def database(request: pytest.FixtureRequest, wanted: Wanted) -> Database:
    """Each of the three databases, through one driver."""
    return wanted.get(request.param)


@pytest.fixture(params=_parameters(EVERY))
def every_database(request: pytest.FixtureRequest, wanted: Wanted) -> Database:
    """Each of the databases through each of its drivers."""
    return wanted.get(request.param)


@pytest.fixture(autouse=True)
def kits() -> Iterator[list[Kit]]:
    """The kits of this test, of which no context, thread or connection may be left after it."""
    before = set(threading.enumerate())
    kits: list[Kit] = []
    yield kits
    left = [*_pushed_contexts(), *_live_threads(before), *_held_connections(kits)]
    for kit in kits:
        if kit.checkedout():
            end_connections(kit.database)
        kit.dispose()
    assert left == []


def _pushed_contexts() -> list[str]:
    left = []
    while has_app_context():
        context = cast("LocalProxy[AppContext]", app_ctx)._get_current_object()
        left.append(f"{context!r} is still pushed")
        context.pop()
    return left


def _live_threads(before: set[threading.Thread]) -> list[str]:
    left = [each for each in threading.enumerate() if each not in before and not each.daemon]
    if left:
        # asgiref, by which Flask-SQLAlchemy-Lite closes its sessions, leaves an executor to the collector.
        gc.collect()
    for thread in left:
        # A worker that was told to end may need a moment for it.
        thread.join(timeout=1)
    return [f"{thread!r} still runs" for thread in left if thread.is_alive()]


def _held_connections(kits: list[Kit]) -> list[str]:
    return [f"{out} connections of {kit.app} are out" for kit in kits if (out := kit.checkedout())]


@pytest.fixture
def make_kit(wanted: Wanted, kits: list[Kit]) -> MakeKit:
    """Make kits on a database or the one of a given name; ``"sqlite-file"`` if none is given."""

    def make(
        database: Database | str = "sqlite-file",
        flavour: Flavour = "flask-sqlalchemy",
        **arguments: Any,
    ) -> Kit:
        on = wanted.get(database) if isinstance(database, str) else database
        kit = make_kit_on(on, flavour, **arguments)
        kits.append(kit)
        return kit

    return make


@pytest.fixture
def kit(make_kit: MakeKit, database: Database) -> Kit:
    """Flask-SQLAlchemy on each of the three databases."""
    return make_kit(database)


@pytest.fixture
def app(kit: Kit) -> Flask:
    """Its app, for the fixtures of our own plugin: it counts statements, injects errors and looks for leaks."""
    return kit.app


@pytest.fixture
def sqlite_kit(make_kit: MakeKit) -> Kit:
    """Flask-SQLAlchemy on a SQLite file."""
    return make_kit()


@pytest.fixture(params=FLAVOURS)
def any_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """Each way of having sessions, on a SQLite file."""
    return make_kit(flavour=request.param)


def _broker(broker: Broker) -> str:
    try:
        return find_broker(broker)
    except DatabaseMissingError as error:
        missing(broker.name, error)


def pytest_configure() -> None:
    """Let the programs of the tests hear Ctrl-C, though a shell that runs the suite in the background ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line for each reason what was not tested; pytest's own list has a line for each test."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, number in Counter(each.longrepr[2] for each in skipped).items():
        terminalreporter.write_line(f"SKIPPED {number} tests: {reason.removeprefix('Skipped: ')}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts programs, of which each takes some seconds."""
    for item in items:
        wanted = getattr(item, "fixturenames", ())
        if "start_worker" in wanted:
            item.add_marker("programs")
        if "pytester" in wanted:
            item.add_marker("plugin")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of Redis."""
    return _broker(REDIS)


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """The URL of RabbitMQ."""
    return _broker(RABBITMQ)


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    """Start programs that are ended with the test; see ``tests.workers.Worker``."""
    workers: list[Worker] = []

    def start(*command: str, environ: Mapping[str, str] | None = None) -> Worker:
        workers.append(Worker(*command, environ=environ))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()
