"""What a scope demands of each of its connections: isolation level, read-only mode, statement timeout.

Everything is undone before the connection goes back to the pool.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from .commit import failed_on_server
from .ledger import driver_connection, note_begin
from .options import ScopeOptions

__all__ = ["Demands"]


@dataclass(frozen=True)
class _Language:
    """How one database is asked.

    Attributes:
        begin: Makes the transaction that is about to start what the scope asked for; returns what undoes it.
        read_timeout: The statement that tells the timeout in force.
        timeout: The statement that sets it, from a value as *read_timeout* tells it.
        seconds: A number of seconds as such a value.
        resets_itself: Whether the end of the transaction undoes a timeout.
    """

    begin: Callable[[Connection, ScopeOptions], list[str]]
    read_timeout: str
    timeout: Callable[[str], str]
    seconds: Callable[[float], str]
    resets_itself: bool = False


class Demands:
    """The demands of one scope, on all the connections that it uses."""

    __slots__ = ("_options", "_originals", "_timeout", "_undo")

    def __init__(self, options: ScopeOptions) -> None:
        self._options = options
        self._timeout = options.timeout
        self._originals: dict[Connection, str] = {}
        self._undo: list[tuple[Connection, str]] = []

    @property
    def timeout(self) -> float | None:
        """The statement timeout in force, in seconds; None leaves the server's own."""
        return self._timeout

    def connected(self, connection: Connection) -> None:
        """Apply them to a connection whose transaction begins."""
        if not self._options.plain:
            undo = _language(connection).begin(connection, self._options)
            self._undo += [(connection, each) for each in undo]
        self.adopt(connection)

    def adopt(self, connection: Connection) -> None:
        """Apply what can still be applied to a connection that is in use."""
        if self._timeout is not None:
            self._set_timeout(connection)

    def change_timeout(self, seconds: float | None, connections: Iterable[Connection]) -> None:
        """Set another statement timeout, in seconds, on *connections*; None goes back to the one that was found."""
        self._timeout = seconds
        for connection in connections:
            if not (connection.invalidated or failed_on_server(connection)):
                self._set_timeout(connection)

    def undo(self) -> None:
        """Leave each connection as it was found; one that cannot be mended does not go back to the pool."""
        for connection, statement in reversed(self._undo):
            _send_or_discard(connection, statement)
        self._undo.clear()

    def _set_timeout(self, connection: Connection) -> None:
        language = _language(connection)
        if connection not in self._originals:
            self._originals[connection] = original = str(
                connection.exec_driver_sql(language.read_timeout).scalar()
            )
            if not language.resets_itself:
                self._undo.append((connection, language.timeout(original)))
        found = self._originals[connection]
        value = found if self._timeout is None else language.seconds(self._timeout)
        connection.exec_driver_sql(language.timeout(value))


def _send_or_discard(connection: Connection, statement: str) -> None:
    """Send *statement* past SQLAlchemy, which takes none between the last flush and COMMIT."""
    if connection.closed or connection.invalidated:
        return
    try:
        lent: Any = connection.connection
        cursor = getattr(
            lent, "settings_cursor", lent.cursor
        )()  # tests have one that counts for nothing
        cursor.execute(statement)
        cursor.close()
    except Exception:  # noqa: BLE001 - whatever it is, the connection does not go back
        with contextlib.suppress(Exception):
            connection.detach()


def _language(connection: Connection) -> _Language:
    name = connection.dialect.name
    if name == "mysql" and not getattr(connection.dialect, "is_mariadb", False):
        return _MYSQL
    try:
        return _LANGUAGES[name]
    except KeyError:
        raise NotImplementedError(
            f"'isolation_level', 'read_only' and 'timeout' are not known for '{name}'. Use PostgreSQL, MariaDB, "
            "MySQL or SQLite, or leave them out and set the engine's own options."
        ) from None


def _characteristics(options: ScopeOptions) -> str:
    level = f"ISOLATION LEVEL {options.isolation_level}" if options.isolation_level else ""
    return ", ".join(filter(None, (level, "READ ONLY" if options.read_only else "")))


def _set_transaction(connection: Connection, options: ScopeOptions) -> list[str]:
    if characteristics := _characteristics(options):
        connection.exec_driver_sql(f"SET TRANSACTION {characteristics}")
    return []


def _begin_sqlite(connection: Connection, options: ScopeOptions) -> list[str]:
    undo = []
    if options.read_only:
        undo.append(_pragma(connection, "query_only", 1))
    if options.isolation_level == "READ UNCOMMITTED":
        undo.append(_pragma(connection, "read_uncommitted", 1))
    elif options.isolation_level in ("REPEATABLE READ", "SERIALIZABLE"):
        _begin_unless_begun(connection)
    return undo


def _pragma(connection: Connection, name: str, value: int) -> str:
    before = connection.exec_driver_sql(f"PRAGMA {name}").scalar()
    connection.exec_driver_sql(f"PRAGMA {name} = {value}")
    return f"PRAGMA {name} = {before}"


def _begin_unless_begun(connection: Connection) -> None:
    """Python's driver begins only before a write; a snapshot has to begin before the first read."""
    if not driver_connection(connection).in_transaction:
        connection.exec_driver_sql("BEGIN")
        note_begin(connection)


_POSTGRESQL = _Language(
    begin=_set_transaction,
    read_timeout="SHOW statement_timeout",
    timeout=lambda value: f"SET LOCAL statement_timeout = '{value}'",
    seconds=lambda seconds: f"{max(1, round(seconds * 1000))}ms",
    resets_itself=True,
)
_MARIADB = _Language(
    begin=_set_transaction,
    read_timeout="SELECT @@SESSION.max_statement_time",
    timeout=lambda value: f"SET SESSION max_statement_time = {value}",
    seconds=lambda seconds: f"{seconds:.6f}",
)
_MYSQL = _Language(
    begin=_set_transaction,
    read_timeout="SELECT @@SESSION.max_execution_time",
    timeout=lambda value: f"SET SESSION max_execution_time = {value}",
    seconds=lambda seconds: str(max(1, round(seconds * 1000))),
)
_SQLITE = _Language(
    begin=_begin_sqlite,
    read_timeout="PRAGMA busy_timeout",
    timeout=lambda value: f"PRAGMA busy_timeout = {value}",
    seconds=lambda seconds: str(max(1, round(seconds * 1000))),
)
_LANGUAGES = {"postgresql": _POSTGRESQL, "mariadb": _MARIADB, "mysql": _MARIADB, "sqlite": _SQLITE}
