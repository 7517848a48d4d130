"""Which categories are provoked through which driver, by what, and which cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from sqlalchemy import QueuePool, delete, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool

from tests.kit import make_models

from . import on_mariadb, on_postgresql, on_sqlite
from .bench import ASYNC, DRIVERS, Bench, dialect_of
from .on_postgresql import asyncpg_timeout, scope_timeout, terminated
from .on_servers import TWO_ROWS, Act, sql

PARENT: Final = "INSERT INTO parent (id, name) VALUES (901, 'one')"
CHILD: Final = "INSERT INTO child (id, name, parent_id) VALUES (901, 'one', 901)"
CHECKED: Final = (
    "CREATE TEMPORARY TABLE checked (amount INT, CONSTRAINT positive CHECK (amount > 0))"
)
KEYS: Final = {"sqlite": ("PRAGMA foreign_keys = ON",)}


def keyed(*statements: str) -> Act:
    """Send *statements* where foreign keys count."""
    return lambda bench: bench.send(*KEYS.get(bench.dialect, ()), *statements)


def pool_timeout(bench: Bench) -> None:
    """The only connection of the pool is out."""
    kind = AsyncAdaptedQueuePool if bench.driver in ASYNC else QueuePool
    engine = bench.engine(poolclass=kind, pool_size=1, max_overflow=0, pool_timeout=0)
    try:
        with engine.connect():
            engine.connect()
    finally:
        engine.dispose()


def stale_data(bench: Bench) -> None:
    """The row of an object is gone."""
    item = make_models(bench.dialect, binds=False).Item
    with Session(bench.engine()) as session:
        loaded = item(name="a")
        session.add(loaded)
        session.flush()
        session.execute(delete(item), execution_options={"synchronize_session": False})
        loaded.name = "b"
        session.flush()


def pending_rollback(bench: Bench) -> None:
    """A flush failed, and nobody rolled back."""
    item = make_models(bench.dialect, binds=False).Item
    with Session(bench.engine()) as session:
        session.add_all([item(name="a"), item(name="a")])
        with suppress(DBAPIError):
            session.flush()
        session.scalar(select(func.count()).select_from(item))


COMMON: Final[Mapping[str, Mapping[str, Act]]] = {
    "unique": {"twice": sql(TWO_ROWS, TWO_ROWS), "primary key": sql(PARENT, PARENT)},
    "foreign_key": {
        "missing parent": keyed(CHILD),
        "still referred to": keyed(PARENT, CHILD, "DELETE FROM parent"),
    },
    "check": {"CHECK": sql(CHECKED, "INSERT INTO checked VALUES (0)")},
    "not_null": {"NULL": sql("INSERT INTO item (name, amount) VALUES (NULL, 0)")},
    "programming": {
        "syntax": sql("SELEC 1"),
        "no table": sql("SELECT * FROM nowhere"),
        "no column": sql("SELECT nothing FROM item"),
    },
    "transaction_aborted": {"no rollback": pending_rollback},
    "pool_timeout": {"all are out": pool_timeout},
    "stale_data": {"deleted since": stale_data},
}

_BY_DATABASE: Final = {
    "postgresql": on_postgresql.PROVOKED,
    "mariadb": on_mariadb.PROVOKED,
    "sqlite": on_sqlite.PROVOKED,
}
_BY_DRIVER: Final[Mapping[str, Mapping[str, Mapping[str, Act]]]] = {
    "psycopg": {
        "server_shutdown": {"pg_terminate_backend": terminated},
        "statement_timeout": {"timeout of a scope": scope_timeout},
    },
    "psycopg2": {
        "connection_lost": {"pg_terminate_backend": terminated},
        "statement_timeout": {"timeout of a scope": scope_timeout},
    },
    "asyncpg": {
        "server_shutdown": {"pg_terminate_backend": terminated},
        "statement_timeout": {"command_timeout": asyncpg_timeout},
    },
}

NOT_PROVOKED: Final[Mapping[tuple[str, str], str]] = {
    (
        "exclusion",
        "mariadb",
    ): "MariaDB reports an overlap of periods as a duplicate (1062): ``unique``.",
    ("exclusion", "sqlite"): "SQLite has no exclusion constraints.",
    (
        "deadlock",
        "sqlite",
    ): "SQLite has one writer: the second gets ``lock_timeout`` or ``serialization_failure``.",
    ("statement_timeout", "sqlite"): "SQLite limits only the wait for a lock: ``lock_timeout``.",
    ("too_many_connections", "sqlite"): "SQLite has no server.",
    ("server_shutdown", "psycopg2"): "It drops the server's last words: ``connection_lost``.",
    ("server_shutdown", "mariadb"): (
        "MariaDB 10.11 ends the connections without its 1053: ``connection_lost``. The code itself is tested apart."
    ),
    ("server_shutdown", "sqlite"): "SQLite has no server.",
    ("commit_unknown", "sqlite"): "SQLite has no server whose answer could be lost.",
}
"""The categories that a database, or a driver, does not have, each with the reason."""


def provocations(category: str, driver: str) -> Mapping[str, Act]:
    """What provokes *category* through *driver*, by name; empty where nothing does."""
    tables = (COMMON, _BY_DATABASE[dialect_of(driver)], _BY_DRIVER.get(driver, {}))
    return {name: act for table in tables for name, act in table.get(category, {}).items()}


def reason(category: str, driver: str) -> str | None:
    """Why *category* cannot be provoked through *driver*."""
    return NOT_PROVOKED.get((category, driver)) or NOT_PROVOKED.get((category, dialect_of(driver)))


def cases(categories: list[str]) -> Iterator[tuple[str, str, str, Act]]:
    """Each category through each driver, by each of its provocations."""
    for category in categories:
        for driver in DRIVERS:
            for name, act in provocations(category, driver).items():
                yield category, driver, name, act
