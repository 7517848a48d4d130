"""Real commits, and the tables that a test has written to emptied after it."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from flask import Flask
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError, IntegrityError
from typing_extensions import Self

from .. import errors
from .._core.places import Place, outside
from ._access import asked_for
from ._databases import LOCK_SECONDS
from ._engines import each_engine
from ._loop import run_for
from ._statements import kind_of, without_remarks
from ._taps import tap

__all__ = ["CommitIsolation", "tables_written"]

_NAME = r"(?:\"[^\"]+\"|`[^`]+`|[\w$]+)"
_WRITES = re.compile(
    r"(?:^|[();]|\bas)\s*(?:insert(?:\s+or\s+\w+|\s+ignore)?\s+into|replace\s+into|merge\s+into|copy|update(?:\s+only)?"
    r"|delete\s+from(?:\s+only)?|truncate(?:\s+table)?)"
    rf"\s+({_NAME}(?:\.{_NAME})?)",
    re.IGNORECASE,
)
_NO_ROWS = re.compile(
    r"(create|alter|drop|comment|grant|revoke|analyze|vacuum|reindex|cluster|optimize|repair|refresh|attach|detach"
    r"|lock|unlock|listen|unlisten|notify|declare|fetch|move|close|deallocate|reset|discard|checkpoint|flush|kill|use)\b",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(
    rf"create\s+(?:or\s+replace\s+)?(?:global\s+|local\s+)?temp(?:orary)?\s+table\s+(?:if\s+not\s+exists\s+)?({_NAME})",
    re.IGNORECASE,
)
_QUALIFIED = re.compile(rf"{_NAME}\.{_NAME}")
_MOVES = re.compile(
    r"(?:set\s+(?:(?:session|local)\s+)?(?:search_path|schema)|use)\b", re.IGNORECASE
)
_KEPT = {"alembic_version"}


@functools.lru_cache(maxsize=1024)
def tables_written(statement: str) -> frozenset[str] | None:
    """The tables that *statement* writes to, as it names them; None if that cannot be told."""
    bare = without_remarks(statement)
    if kind_of(statement) != "write" or _NO_ROWS.match(bare):
        return frozenset()
    return frozenset(_WRITES.findall(bare)) or None


class CommitIsolation:
    """Lets *app* commit for real inside the ``with`` block, and empties what was written to at its end.

    The tables are known by the statements that SQLAlchemy sends in this process. After one that does not tell
    them, such as ``CALL``, all tables are emptied.

    Args:
        app: The app.
        reset_sequences: Let the numbers of new rows begin after the highest that is there.

    Raises:
        NoAppError: On entering, if the app has no ``SafeSession``.
        IsolationUnavailableError: If a lock that is held elsewhere keeps the numbers or the rows as they are.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask, *, reset_sequences: bool = False) -> None:
        self._app = app
        self._resets = reset_sequences
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        written: list[_Written] = []

        def watch(engine: Engine) -> Callable[[], None]:
            for each in written:
                if engine.dialect.is_async and each.reaches(engine):
                    return each.watch(engine)
            if self._resets:
                run_for(engine, _reset_sequences, engine)
            written.append(_Written(engine))
            return written[-1].empty

        with ExitStack() as undo:
            undo.enter_context(asked_for(self._app))
            undo.enter_context(each_engine(self._app, watch))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class _Written:
    """The tables of one database that were written to, in the order of the first write."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables: dict[str, None] = {}
        self._temporary: set[str] = set()
        self._is_known = True
        self._moved: Place | None = None
        self._astray: dict[str, None] = {}
        self._look_away = self.watch(engine)

    def reaches(self, engine: Engine) -> bool:
        """Whether *engine* leads to the same database."""
        return _address(engine) == _address(self._engine)

    def watch(self, engine: Engine) -> Callable[[], None]:
        """Note what *engine* writes, until what is returned is called."""
        return tap(engine).look(self._note)

    def _note(self, _: Any, statement: str, __: object) -> None:
        bare = without_remarks(statement)
        if _MOVES.match(bare):
            self._moved = self._moved or outside().place
        self._temporary.update(_TEMPORARY.findall(bare))
        tables = tables_written(statement)
        if tables is None:
            self._is_known = False
            return
        self._tables.update(dict.fromkeys(tables))
        if self._moved is not None:
            self._astray.update(dict.fromkeys(tables - self._qualified))

    def empty(self) -> None:
        """Empty them; rows that refer to others are deleted first."""
        self._look_away()
        run_for(self._engine, self._empty)

    @property
    def _qualified(self) -> set[str]:
        """Those that were written to with the name of their schema or database."""
        return {each for each in self._tables if _QUALIFIED.fullmatch(each)}

    def _empty(self) -> None:
        if not (self._is_known and self._has_emptied_known()):
            self._empty_all()
        if self._astray:
            warnings.warn(self._strayed(), errors.SafeSessionWarning, stacklevel=1)

    def _has_emptied_known(self) -> bool:
        # It fails for a name that is no table, and for rows of other tables that refer to these.
        if self._has_deleted(reversed(self._tables)):
            return True
        lasting = [each for each in reversed(self._tables) if each not in self._temporary]
        return len(lasting) < len(self._tables) and self._has_deleted(lasting)

    def _empty_all(self) -> None:
        every = _all_tables(self._engine)
        elsewhere = [each for each in reversed(self._tables) if each in self._qualified]
        if elsewhere and self._has_deleted([*elsewhere, *every]):
            return
        for each in elsewhere:  # one of them may be gone
            self._has_deleted([each])
        try:
            self._delete(every)
        except DBAPIError as error:
            raise errors.IsolationUnavailableError(
                f"The tables that the test has written to could not be emptied, and their rows stay: "
                f"{_reason(error)}. "
                "Close each session and connection, and wait for each job inside the test."
            ) from error

    def _strayed(self) -> str:
        names = ", ".join(f"'{each}'" for each in self._astray)
        return (
            f"{self._moved} changed the schema or database that names are looked up in, and the test then wrote to "
            f"{names}: rows of tables elsewhere may stay. Write such a table with the name of its schema or database, "
            "or delete its rows in the test."
        )

    def _has_deleted(self, tables: Iterable[str]) -> bool:
        try:
            self._delete(tables)
        except DBAPIError:
            return False
        return True

    def _delete(self, tables: Iterable[str]) -> None:
        statements = [f"DELETE FROM {each}" for each in tables]  # noqa: S608 - as the app's own statements name them
        try:
            self._send(statements)
        except IntegrityError:
            if self._engine.dialect.name != "postgresql":
                raise
            # Rows that refer to each other go in one statement, at the end of which the keys are checked.
            parts = ", ".join(f"d{number} AS ({each})" for number, each in enumerate(statements))
            self._send([f"WITH {parts} SELECT 1"])

    def _send(self, statements: list[str]) -> None:
        if not statements:
            return
        with self._engine.connect() as connection, _bounded(connection):
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()


@contextlib.contextmanager
def _bounded(connection: Connection) -> Iterator[None]:
    """Wait for locks only so long on *connection*; who gets it next has its own limits, and its keys checked."""
    before, after = _AROUND[connection.dialect.name]
    for statement in before:
        connection.exec_driver_sql(statement)
    try:
        yield
    finally:
        for statement in after:
            connection.exec_driver_sql(statement)


def _address(engine: Engine) -> tuple[str | None, int | None, str | None]:
    return engine.url.host, engine.url.port, engine.url.database


# Without an end to the waiting, a connection that the test has left open would stop the run.
_LIMITS = ("innodb_lock_wait_timeout", "lock_wait_timeout", "foreign_key_checks")
_MARIADB = (
    [
        f"SET {', '.join(f'@safesession_{each} = @@{each}' for each in _LIMITS)}",
        f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}, lock_wait_timeout = {LOCK_SECONDS}",
        "SET SESSION foreign_key_checks = 0",
    ],
    [f"SET SESSION {', '.join(f'{each} = @safesession_{each}' for each in _LIMITS)}"],
)
_AROUND: dict[str, tuple[list[str], list[str]]] = {
    "postgresql": ([f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"], []),
    "mariadb": _MARIADB,
    "mysql": _MARIADB,
    "sqlite": (["PRAGMA defer_foreign_keys = ON"], []),
}


def _all_tables(engine: Engine) -> list[str]:
    """All tables, those that refer to others first."""
    quote = engine.dialect.identifier_preparer.quote
    found = [name for name, _ in inspect(engine).get_sorted_table_and_fkc_names() if name]
    return [quote(name) for name in reversed(found) if name not in _KEPT]


def _reset_sequences(engine: Engine) -> None:
    try:
        with engine.begin() as connection, _bounded(connection):
            _RESETS[engine.dialect.name](connection)
    except DBAPIError as error:
        raise errors.IsolationUnavailableError(
            f"The numbers of new rows could not be reset: {_reason(error)}. Close each session and connection that a "
            "fixture for several tests has opened, or leave out 'reset_sequences=True'."
        ) from error


def _reason(error: DBAPIError) -> str:
    return str(error.orig).splitlines()[0].rstrip(".")


def _reset_sqlite(connection: Connection) -> None:
    known = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    if known.first():
        connection.exec_driver_sql("DELETE FROM sqlite_sequence")


def _reset_postgresql(connection: Connection) -> None:
    owned = connection.exec_driver_sql(
        "SELECT s.oid::regclass::text, t.oid::regclass::text, quote_ident(a.attname), q.seqstart, q.seqmin, q.seqmax,"
        " q.seqincrement > 0 FROM pg_class s JOIN pg_sequence q ON q.seqrelid = s.oid"
        " JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"
        " JOIN pg_class t ON t.oid = d.refobjid"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid"
        " WHERE s.relkind = 'S' AND pg_table_is_visible(t.oid)"
    )
    for sequence, table, column, start, least, greatest, rises in owned.all():
        after = f"max({column}) + 1" if rises else f"min({column}) - 1"
        connection.exec_driver_sql(
            f"SELECT setval('{sequence}', greatest(least(coalesce({after}, {start})::bigint, {greatest}), {least}),"  # noqa: S608 - quoted by the server
            f" false) FROM {table}"
        )


def _reset_mariadb(connection: Connection) -> None:
    counted = connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = database() AND auto_increment IS NOT NULL"
    )
    for (table,) in counted.all():
        # The server takes the highest number that is there into account.
        connection.exec_driver_sql(f"ALTER TABLE `{table}` AUTO_INCREMENT = 1")


_RESETS: dict[str, Callable[[Connection], None]] = {
    "sqlite": _reset_sqlite,
    "postgresql": _reset_postgresql,
    "mariadb": _reset_mariadb,
    "mysql": _reset_mariadb,
}
