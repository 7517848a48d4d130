"""What the drivers tell of an error: the database, its code, the names, and words only where there is no code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..driver_codes import had_timeout, sqlite_code, sqlstate, vendor_code
from .table import by_code

__all__ = ["DRIVERS", "category_of", "database", "misses_parent", "names"]

_DATABASES = {
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "asyncpg": "postgresql",
    "pymysql": "mariadb",
    "MySQLdb": "mariadb",
    "asyncmy": "mariadb",
    "aiomysql": "mariadb",  # its errors are PyMySQL's
    "sqlite3": "sqlite",
    "aiosqlite": "sqlite",  # its errors are sqlite3's
}
_ASYNCPG_ADAPTER = "sqlalchemy.dialects.postgresql.asyncpg"

DRIVERS = frozenset({*_DATABASES, "psycopg_binary", "psycopg_c"})
"""The packages of the drivers."""

# libpq gives no SQLSTATE for a connection that could not be made or that broke: psycopg and psycopg2 have text only.
# The client libraries of the others give no code for some broken connections.
_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "postgresql": (
        ("too many clients already", "too_many_connections"),
        ("too many connections for", "too_many_connections"),
        ("remaining connection slots are reserved", "too_many_connections"),
        ("authentication failed", "permission"),
        ("no pg_hba.conf entry", "permission"),
        ("no password supplied", "permission"),
        ("not permitted to log in", "permission"),
        ("permission denied", "permission"),
        ('FATAL:  role "', "permission"),
        ('FATAL:  database "', "programming"),
        ("connection is closed", "connection_lost"),
        ("connection already closed", "connection_lost"),
        ("connection has been closed", "connection_lost"),
        ("server closed the connection", "connection_lost"),
    ),
    "mariadb": (
        ("Not connected", "connection_lost"),
        ("network operation failed", "connection_lost"),
        ("Packet sequence number wrong", "connection_lost"),
    ),
    "sqlite": (
        ("closed database", "connection_lost"),
        ("no active connection", "connection_lost"),
        ("Connection closed", "connection_lost"),
    ),
}

# PEP 249's classes, for errors that the driver raises by itself, without a code.
_CLASSES = {
    "DataError": "data",
    "ProgrammingError": "programming",
    "NotSupportedError": "programming",
}

_MISSING_PARENT = {1452, 1216}


def database(error: BaseException) -> str | None:
    """The database whose driver *error* comes from."""
    for kind in type(error).__mro__:
        if kind.__module__ == _ASYNCPG_ADAPTER:
            return "postgresql"
        found = _DATABASES.get(kind.__module__.partition(".")[0])
        if found is not None:
            return found
    return None


def category_of(error: BaseException, dialect: str) -> tuple[str, str | None]:
    """The category and the code of an error of a driver of *dialect*."""
    code = _CODES[dialect](error)
    if code is None:
        return _without_code(dialect, error), None
    if code == "57014" and had_timeout(error):
        return "statement_timeout", code
    return _look_up(dialect, code), code


def _look_up(dialect: str, code: str) -> str:
    table = by_code(dialect)
    for each in _less_exact(dialect, code):
        if each in table:
            return table[each]
    return "unknown"


def _less_exact(dialect: str, code: str) -> Iterator[str]:
    """*code*, then what it is a kind of: SQLSTATE's class, or SQLite's code without its last word."""
    yield code
    if dialect == "postgresql":
        yield code[:2]
    while dialect == "sqlite" and "_" in code:
        code = code.rpartition("_")[0]
        yield code


def _postgresql_code(error: BaseException) -> str | None:
    """The innermost SQLSTATE: asyncpg raises its own 08003 from what the server said, SQLAlchemy its own from that."""
    code = None
    for each in _causes(error):
        code = sqlstate(each) or code
    return code


def _mariadb_code(error: BaseException) -> str | None:
    number = vendor_code(error)
    return None if number is None else str(number)


_CODES = {"postgresql": _postgresql_code, "mariadb": _mariadb_code, "sqlite": sqlite_code}


def _without_code(dialect: str, error: BaseException) -> str:
    said = _mentioned(dialect, str(error))
    if said is not None:
        return said
    classes = [kind.__name__ for kind in type(error).__mro__]
    meant = next((_CLASSES[name] for name in classes if name in _CLASSES), None)
    if meant is not None:
        return meant
    if dialect != "postgresql":
        return "unknown"
    if "OperationalError" in classes:
        return "connection_lost"
    return "programming" if "InterfaceError" in classes else "unknown"


def _mentioned(dialect: str, text: str) -> str | None:
    """The category that the *text* of an error without a code speaks of."""
    return next((name for words, name in _WORDS[dialect] if words in text), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """*error* and what it was raised from; a chain of a driver is short."""
    each: BaseException | None = error
    for _ in range(4):
        if each is None:
            return
        yield each
        each = each.__cause__


def names(error: BaseException) -> dict[str, Any]:
    """The constraint, table and column, as psycopg and psycopg2 (``diag``) and asyncpg (the error itself) tell them."""
    if database(error) != "postgresql":
        return {}
    found: dict[str, Any] = {}
    for each in _causes(error):
        holder: Any = getattr(each, "diag", each)
        for name in ("constraint", "table", "column"):
            value = getattr(holder, f"{name}_name", None)
            if isinstance(value, str) and value:
                found[name] = value
    return found


def misses_parent(error: BaseException) -> bool | None:
    """Whether a foreign key failed because the row referred to is missing; None where the code does not tell."""
    if database(error) != "mariadb":
        return None
    return vendor_code(error) in _MISSING_PARENT
