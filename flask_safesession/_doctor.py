"""What ``flask safesession doctor`` looks at: the engines of a live app, its server and the installed versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ._core.commit import commits_by_itself
from ._core.pool import capacity
from ._engines import engines_of
from ._state import AppState

__all__ = ["Finding", "examine"]

Level = Literal["ok", "advice", "change"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: Whether it is well, could be better, or has to be changed.
        about: The engine, or the package.
        text: What was found, and what to change.
    """

    level: Level
    about: str
    text: str


def examine(state: AppState, workers: int) -> Iterator[Finding]:
    """Look at all engines of an app.

    Args:
        state: The app.
        workers: The number of its worker processes, each of which has pools of its own.
    """
    for name, engine in engines_of(state).items():
        yield from (Finding(level, name, text) for level, text in _engine(engine, workers))
    yield from _versions()


Found = Iterator[tuple[Level, str]]


def _engine(engine: Engine, workers: int) -> Found:
    yield (
        "ok",
        f"{engine.url.render_as_string()} by {_driver(engine)}, with {type(engine.pool).__name__}",
    )
    if engine.dialect.is_async:
        yield "advice", "Its server was not asked: its driver needs an event loop."
        return
    yield from _pre_ping(engine)
    try:
        with engine.connect() as connection:
            yield from _connection(connection, workers)
    except SQLAlchemyError as error:
        yield "change", f"The database gives no connection: {error}. Start it, or mend the URL."


def _driver(engine: Engine) -> str:
    module = getattr(engine.dialect.dbapi, "__name__", engine.dialect.driver)
    version = getattr(engine.dialect.dbapi, "__version__", "")
    return f"{module} {version}".strip()


def _pre_ping(engine: Engine) -> Found:
    if engine.dialect.name == "sqlite" or not isinstance(engine.pool, QueuePool):
        return
    if getattr(engine.pool, "_pre_ping", False):
        yield "ok", "A connection is tested before it is used ('pool_pre_ping')."
    else:
        yield (
            "change",
            "After a restart of the server each pooled connection fails once. Set 'pool_pre_ping'.",
        )


def _connection(connection: Connection, workers: int) -> Found:
    yield from _isolation(connection)
    yield from _SERVERS.get(connection.dialect.name, _unknown)(connection, workers)


def _isolation(connection: Connection) -> Found:
    dialect = connection.dialect
    # SQLite's driver does not tell it from a program that sends BEGIN by itself.
    asked = getattr(dialect, "_on_connect_isolation_level", None)
    if asked == "AUTOCOMMIT" or commits_by_itself(dialect, connection.connection):
        yield (
            "change",
            "Its isolation level is AUTOCOMMIT: nothing can roll back. Remove 'isolation_level' from its options.",
        )
    else:
        yield "ok", f"The isolation level is {connection.get_isolation_level()}."


def _postgresql(connection: Connection, workers: int) -> Found:
    most = int(_setting(connection, "max_connections"))
    reserved = int(_setting(connection, "superuser_reserved_connections"))
    yield from _size(connection.engine, workers, most - reserved)
    for name in ("idle_in_transaction_session_timeout", "lock_timeout"):
        if _setting(connection, name) == "0":
            yield (
                "advice",
                f"'{name}' is off on the server. Set it for the app's role: ALTER ROLE … SET {name} = '60s'.",
            )
    if connection.dialect.driver == "psycopg" and connection.engine.url.host:
        yield from _black_hole(connection)


def _setting(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar())


def _black_hole(connection: Connection) -> Found:
    raw: Any = connection.connection.dbapi_connection
    if "tcp_user_timeout" not in raw.info.get_parameters():
        yield (
            "advice",
            "psycopg 3 waits for a COMMIT without end if the network goes. Set 'tcp_user_timeout' in 'connect_args'.",
        )


def _mariadb(connection: Connection, workers: int) -> Found:
    yield from _size(connection.engine, workers, _variable(connection, "max_connections"))
    patience, recycle = _variable(connection, "wait_timeout"), _recycle(connection.engine)
    if not 0 <= recycle < patience:
        yield (
            "change",
            f"The server closes what is idle for {patience} s. Set 'pool_recycle' to less, and not to {recycle}.",
        )


def _variable(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT @@{name}").scalar_one())


def _recycle(engine: Engine) -> int:
    return int(getattr(engine.pool, "_recycle", -1))


def _sqlite(connection: Connection, _: int) -> Found:
    if connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 0:
        yield (
            "change",
            "A write fails at once while another is under way. Give 'connect_args={\"timeout\": 5}' to the engine.",
        )
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode == "delete":
        yield (
            "advice",
            "Readers and a writer wait for each other. Set 'PRAGMA journal_mode=WAL' on the file once.",
        )
    if not connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
        yield (
            "advice",
            "Foreign keys are not enforced. Send 'PRAGMA foreign_keys=ON' on each new connection.",
        )


def _size(engine: Engine, workers: int, most: int) -> Found:
    limit = capacity(engine)
    if limit is None:
        yield (
            "change",
            f"The pool has no bounds, and the server takes {most}. Set 'pool_size' and 'max_overflow'.",
        )
        return
    needed = limit * workers
    count = f"{workers} worker(s) x {limit} connections = {needed}, and the server takes {most}"
    if needed <= most:
        yield "ok", f"{count}."
    else:
        fitting = most // workers
        yield (
            "change",
            f"{count}. Set 'pool_size' and 'max_overflow' to {fitting} together, or raise 'max_connections'.",
        )


def _unknown(connection: Connection, _: int) -> Found:
    yield (
        "advice",
        f"'{connection.dialect.name}' is not known; its limits and timeouts were not looked at.",
    )


_SERVERS: dict[str, Callable[[Connection, int], Found]] = {
    "postgresql": _postgresql,
    "mysql": _mariadb,
    "mariadb": _mariadb,
    "sqlite": _sqlite,
}

# What was measured on released versions, with the call to make.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        "Flask-SQLAlchemy-Lite",
        "0.2.1",
        "'async_test_isolation()' does not isolate. Use 'test_isolation()' and sync sessions.",
    ),
    (
        "Flask-SQLAlchemy",
        "3.1.1",
        "On SQLAlchemy 2.1 it fails with 'MappedAsDataclass'. Give a plain 'DeclarativeBase'.",
    ),
)


def _versions() -> Iterator[Finding]:
    installed = {each.name: each.version for each in metadata.distributions()}
    names = ("Flask", "SQLAlchemy", "Flask-SQLAlchemy", "Flask-SQLAlchemy-Lite")
    yield from (Finding("ok", name, installed[name]) for name in names if name in installed)
    known = (each for each in _KNOWN if installed.get(each[0]) == each[1])
    yield from (Finding("advice", name, text) for name, _, text in known)
