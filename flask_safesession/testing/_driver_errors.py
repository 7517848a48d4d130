"""The errors of the drivers, made as the database would make them: by category, with class and code."""

from __future__ import annotations

import difflib
import importlib
import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from .._core.driver_codes import mark_timeout, sqlite_text
from .._core.faults.table import CATEGORIES, Category, category

__all__ = ["LOST", "check_error", "database", "driver_error", "error_names"]

LOST = {"connection_lost", "server_shutdown"}
"""The categories after which a connection is gone."""

# What a server answers where it does not know the thing, and the classes that have no code of their own.
_STAND_INS: dict[str, dict[str, str | int]] = {
    "sqlite": {"deadlock": "SQLITE_BUSY"},
    "mariadb": {"connection_lost": 2013, "connection_refused": 2003},
    "postgresql": {
        "check": "23514",
        "programming": "42601",
        "data": "22003",
        "statement_timeout": "57014",
    },
}
# libpq gives no code for a connection that broke or could not be made.
_WITHOUT_CODE = {
    ("postgresql", "connection_lost"): "server closed the connection unexpectedly",
    ("postgresql", "connection_refused"): "connection to server failed: Connection refused",
    ("postgresql", "too_many_connections"): "FATAL:  sorry, too many clients already",
    ("sqlite", "connection_lost"): "Cannot operate on a closed database.",
}
_CLASSES = {
    "unique": "IntegrityError",
    "foreign_key": "IntegrityError",
    "check": "IntegrityError",
    "not_null": "IntegrityError",
    "data": "DataError",
    "programming": "ProgrammingError",
    "corrupt": "DatabaseError",
}


def check_error(engine: Engine, name: str) -> None:
    """Refuse what is no category, or none that the database of *engine* can answer with.

    Raises:
        ValueError: With the names that there are.
    """
    known = error_names(engine)
    if name in known:
        return
    is_elsewhere = name in [each.name for each in CATEGORIES]
    close = [] if is_elsewhere else difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Give one of {', '.join(known)}."
    raise ValueError(f"'{name}' is no error that '{database(engine)}' answers with. {hint}")


def driver_error(engine: Engine, name: str) -> BaseException:
    """An error of the category *name*, as the driver of *engine* would raise it.

    Raises:
        ValueError: If there is none.
    """
    check_error(engine, name)
    row = category(name)
    text = _WITHOUT_CODE.get((database(engine), name))
    if text is not None and engine.dialect.driver == "asyncpg":
        return _asyncpg().asyncpg_error_without_code(engine, name, text)  # type: ignore[no-any-return]
    if text is not None:
        return _plain(engine, name)(text)
    if row.sqlalchemy and not _code(engine, row):
        return row.sqlalchemy[0](_text(row))
    error = _MAKERS[database(engine)](engine, row, _code(engine, row))
    if name == "statement_timeout":
        mark_timeout(error)  # PostgreSQL's code is that of a cancel, too
    return error


def error_names(engine: Engine) -> list[str]:
    """The categories that the database of *engine* answers with."""
    return [
        each.name
        for each in CATEGORIES
        if each.name != "commit_unknown"
        and (
            _code(engine, each)
            or (database(engine), each.name) in _WITHOUT_CODE
            or (each.sqlalchemy and each.name in ("pool_timeout", "stale_data"))
        )
    ]


def database(engine: Engine) -> str:
    """The database of *engine*, as the table of categories names it."""
    return "mariadb" if engine.dialect.name == "mysql" else engine.dialect.name


def _code(engine: Engine, row: Category) -> str | int | None:
    """The code that stands for the whole category."""
    name = database(engine)
    stand_in = _STAND_INS.get(name, {}).get(row.name)
    codes: tuple[str | int, ...] = getattr(row, name, ())
    return stand_in or next(iter(codes), None)


def _text(row: Category) -> str:
    """What the server says: the table's first sentence, without its remarks."""
    return row.meaning.split(". ")[0].split(" (")[0].rstrip(".")


def _plain(engine: Engine, name: str) -> Callable[..., BaseException]:
    dbapi: Any = engine.dialect.loaded_dbapi
    if database(engine) == "sqlite" and name == "connection_lost":
        return dbapi.ProgrammingError  # type: ignore[no-any-return]
    kind = _CLASSES.get(name, "OperationalError")
    # SQLAlchemy's module for aiosqlite has not all of the driver's.
    return getattr(dbapi, kind, None) or getattr(sqlite3, kind)  # type: ignore[no-any-return]


def _asyncpg() -> Any:
    """It may not be installed."""
    return importlib.import_module("._asyncpg_errors", __package__)


def _postgresql(engine: Engine, row: Category, code: Any) -> BaseException:
    state = code.ljust(5, "0")
    if engine.dialect.driver == "asyncpg":
        return _asyncpg().asyncpg_error(engine, state, _text(row))  # type: ignore[no-any-return]
    driver: Any = importlib.import_module(f"{engine.dialect.driver}.errors")
    error: Any = driver.lookup(state)(_text(row))
    if error.args and getattr(error, "sqlstate", None) != state:
        # psycopg2 lets the code be set in this way alone.
        error.__setstate__({"pgcode": state, "pgerror": _text(row)})
    return error  # type: ignore[no-any-return]


def _mariadb(engine: Engine, row: Category, code: Any) -> BaseException:
    return _plain(engine, row.name)(code, _text(row))


def _sqlite(engine: Engine, row: Category, code: Any) -> BaseException:
    error: Any = _plain(engine, row.name)(sqlite_text(code))
    error.sqlite_errorname = code
    error.sqlite_errorcode = getattr(sqlite3, code, 1)
    return error  # type: ignore[no-any-return]


_MAKERS: dict[str, Callable[[Engine, Category, Any], BaseException]] = {
    "postgresql": _postgresql,
    "mariadb": _mariadb,
    "sqlite": _sqlite,
}
