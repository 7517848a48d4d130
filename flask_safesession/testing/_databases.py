"""What the three databases need where savepoints stand in for transactions."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import SingletonThreadPool

from .. import errors
from .._core.driver_codes import REMARKS
from .._core.forks import is_in_memory
from .._core.places import outside

__all__ = ["LOCK_SECONDS", "Database", "Writers", "database_of"]

Writers = dict[str, Engine]

_SETTING = re.compile(r"set\s+local\s+([\w.\"]+)", re.IGNORECASE)
_IMPLICIT_COMMIT = re.compile(
    REMARKS
    + r"(create|alter|drop|truncate|rename|grant|revoke|lock|unlock|analyze|optimize|repair|flush|install)\b"
    r"(?!\s+(or\s+replace\s+)?temporary\b)",
    re.IGNORECASE,
)
_PREPARES = re.compile(REMARKS + r"prepare\s+transaction\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(insert|update|delete|replace|create|alter|drop)\b", re.IGNORECASE)
LOCK_SECONDS = 5
_HAS_DEFERRED = "EXISTS (SELECT FROM pg_constraint WHERE condeferrable)"
_READ_ONLY = "Cannot execute statement in a READ ONLY transaction"


class Database:
    """A database that needs nothing.

    Args:
        engine: An engine on it.
        writers: The engines of the test that have written to a file, by its name.
    """

    def __init__(self, engine: Engine, writers: Writers) -> None:
        self.engine = engine
        self.writers = writers

    def open(self, raw: Any) -> None:
        """Begin the transaction around the test; most drivers do so by themselves."""

    def close(self, raw: Any) -> None:
        """Roll it back."""
        raw.rollback()

    def check_thread(self, home: int) -> None:
        """Refuse a thread that the connection cannot be lent to."""

    def check_deferred(self, raw: Any) -> None:
        """Check what the database checks at COMMIT."""

    def abort(self, raw: Any) -> None:
        """Bring the transaction back into the state after an error."""

    def set_transaction(self, statement: str) -> str | None:
        """The part of SET TRANSACTION that a savepoint can have."""
        return None

    def setting(self, statement: str, raw: Any) -> str | None:
        """What puts back a setting that only the end of the real transaction would put back."""
        return None

    def vet(self, statement: str) -> None:
        """Refuse a statement that would end the transaction around the test."""

    def read_only_error(self) -> BaseException | None:
        """The driver's refusal to write in a read-only transaction, where the database itself cannot give it."""
        return None


class _SQLite(Database):
    def __init__(self, engine: Engine, writers: Writers) -> None:
        super().__init__(engine, writers)
        self._is_per_thread = isinstance(engine.pool, SingletonThreadPool)

    def open(self, raw: Any) -> None:
        # Python's driver begins only before a write: until then RELEASE would commit.
        if not _driver(raw).in_transaction:
            _ask(raw, "BEGIN")

    def close(self, raw: Any) -> None:
        if _driver(raw).in_transaction:
            _ask(raw, "ROLLBACK")

    def vet(self, statement: str) -> None:
        file = self.engine.url.database
        if not file or is_in_memory(self.engine) or not _CHANGES.search(statement):
            return
        first = self.writers.setdefault(file, self.engine)
        if first is not self.engine:
            raise errors.IsolationUnavailableError(
                f"{outside().place} wrote to the SQLite file '{file}', which has one writer, and that is until the end "
                f"of this test the engine of '{first.url}'. Let one kind of sessions write in this test, blocking ones "
                "or asynchronous ones, or give it real transactions with "
                "'@pytest.mark.safesession(isolation=\"commit\")'."
            )

    def check_thread(self, home: int) -> None:
        if self._is_per_thread and threading.get_ident() != home:
            raise errors.IsolationUnavailableError(
                f"{outside().place} asked for a connection to SQLite in memory in a thread of its own, where it is "
                "another, empty database. Give the test a SQLite file, or an engine with 'poolclass=StaticPool' and "
                "'connect_args={\"check_same_thread\": False}'."
            )

    def check_deferred(self, raw: Any) -> None:
        deferred = "SELECT 1 FROM sqlite_master WHERE sql LIKE '%DEFERRED%' LIMIT 1"
        if _ask(raw, "PRAGMA foreign_keys") == (0,):
            return
        if _ask(raw, deferred) and _ask(raw, "PRAGMA foreign_key_check"):
            dbapi: Any = self.engine.dialect.loaded_dbapi
            raise dbapi.IntegrityError("FOREIGN KEY constraint failed")


class _PostgreSQL(Database):
    _has_deferred: bool | None = None

    def open(self, raw: Any) -> None:
        # What waits for another connection of the same test would wait for ever. The rest of the question is for the
        # first COMMIT: each journey to the server counts, in every test.
        self._has_deferred, _ = _ask(
            raw,
            f"SELECT {_HAS_DEFERRED}, CASE current_setting('lock_timeout') WHEN '0'"
            f" THEN set_config('lock_timeout', '{LOCK_SECONDS}s', true) END",
        )

    def check_deferred(self, raw: Any) -> None:
        if self._has_deferred is None:
            (self._has_deferred,) = _ask(raw, f"SELECT {_HAS_DEFERRED}")
        if not self._has_deferred:
            return
        with closing(raw.cursor()) as cursor:
            cursor.execute("SAVEPOINT safesession_check")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ROLLBACK TO SAVEPOINT safesession_check")
            cursor.execute("RELEASE SAVEPOINT safesession_check")

    def abort(self, raw: Any) -> None:
        with closing(raw.cursor()) as cursor:
            try:
                cursor.execute("SELECT 1 / 0")
            except self.engine.dialect.loaded_dbapi.Error:
                return

    def set_transaction(self, statement: str) -> str | None:
        return "SET TRANSACTION READ ONLY" if "READ ONLY" in statement.upper() else None

    def setting(self, statement: str, raw: Any) -> str | None:
        found = _SETTING.match(statement.lstrip())
        if found is None:
            return None
        name = found.group(1).strip('"')
        with closing(raw.cursor()) as cursor:
            cursor.execute(f"SELECT quote_literal(coalesce(current_setting('{name}', true), ''))")
            (value,) = cursor.fetchone()
        return f"SELECT set_config('{name}', {value}, true)"

    def vet(self, statement: str) -> None:
        if _PREPARES.match(statement):
            raise errors.IsolationUnavailableError(
                f"{outside().place} sent 'PREPARE TRANSACTION', at which the transaction of the test would end. Give "
                "the test real transactions with '@pytest.mark.safesession(isolation=\"commit\")'."
            )
        self._has_deferred = None if _IMPLICIT_COMMIT.match(statement) else self._has_deferred


class _MariaDB(Database):
    def vet(self, statement: str) -> None:
        found = _IMPLICIT_COMMIT.match(statement)
        if found is not None:
            raise errors.IsolationUnavailableError(
                f"{outside().place} sent '{found.group(1).upper()}', at which MariaDB and MySQL commit: the test could "
                "not be rolled back any more. Make tables in a fixture with 'scope=\"session\"', or give the test real "
                "transactions with '@pytest.mark.safesession(isolation=\"commit\")'."
            )

    def read_only_error(self) -> BaseException | None:
        error: BaseException = self.engine.dialect.loaded_dbapi.OperationalError(1792, _READ_ONLY)
        return error


def _ask(raw: Any, statement: str) -> Any:
    """The first row of the answer."""
    with closing(raw.cursor()) as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def _driver(raw: Any) -> Any:
    """The driver's own connection, where SQLAlchemy has put one of its own around it."""
    return getattr(raw, "driver_connection", raw)


_DATABASES: dict[str, Callable[[Engine, Writers], Database]] = {
    "sqlite": _SQLite,
    "postgresql": _PostgreSQL,
    "mariadb": _MariaDB,
    "mysql": _MariaDB,
}


def database_of(engine: Engine, writers: Writers | None = None) -> Database:
    """What the database of *engine* needs.

    Raises:
        IsolationUnavailableError: If it is none of the four.
    """
    name = engine.dialect.name
    if name not in _DATABASES:
        raise errors.IsolationUnavailableError(
            f"A test cannot be rolled back on '{name}': only SQLite, PostgreSQL, MariaDB and MySQL are known. Give it "
            "real transactions with '@pytest.mark.safesession(isolation=\"commit\")'."
        )
    return _DATABASES[name](engine, {} if writers is None else writers)
