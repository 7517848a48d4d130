"""The errors of asyncpg, which SQLAlchemy translates, except those of a connection that could not be made."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.util import await_only

__all__ = ["asyncpg_error", "asyncpg_error_without_code"]

_STATES = {"connection_lost": "08003", "too_many_connections": "53300"}


def asyncpg_error(engine: Engine, state: str, text: str) -> BaseException:
    """An error of the server, as SQLAlchemy raises it."""
    found: BaseException = asyncpg.PostgresError.new({"C": state, "M": text})
    dbapi = engine.dialect.loaded_dbapi
    try:
        _translate(dbapi, found)
    except dbapi.Error as error:
        found = error
    return found


def asyncpg_error_without_code(engine: Engine, name: str, text: str) -> BaseException:
    """The same of the categories for which libpq has no code; a refused connection is one of Python's own errors."""
    if name != "connection_refused":
        return asyncpg_error(engine, _STATES[name], text)
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        attempt = asyncpg.connect(host="127.0.0.1", port=nobody_listens.getsockname()[1])
        (error,) = await_only(asyncio.gather(attempt, return_exceptions=True))
    return error


_adapter: Any = AsyncAdapt_asyncpg_connection
_nobody = SimpleNamespace(is_closed=lambda: False)
# SQLAlchemy 2.0 asks a connection for it.
_translate = getattr(_adapter, "_handle_exception_no_connection", None) or (
    lambda dbapi, error: _adapter._handle_exception(  # noqa: SLF001 - nobody else translates
        SimpleNamespace(_connection=_nobody, dbapi=dbapi), error
    )
)
