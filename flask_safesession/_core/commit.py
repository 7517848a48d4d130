"""The COMMIT itself: refused where it would lose data, in a fixed order, rolled back at once where it fails.

SQLAlchemy has no event between the last flush and COMMIT, and after a failed COMMIT ``Session.close()`` gives the
connection back with its transaction open. A wrapper of the dialect's ``do_commit`` sees both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn, cast

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

from .. import errors
from .driver_codes import sqlstate
from .ledger import Ledger, driver_connection, find_ledger
from .sending import (
    ORIGINAL,
    is_broken,
    is_interruption,
    is_not_stored,
    not_committed,
    roll_back,
    send,
)
from .states import OPEN
from .wording import connection_lost, rolled_back_by_server, would_answer_rollback

__all__ = [
    "check_all",
    "commits_by_itself",
    "committing",
    "failed_on_server",
    "in_error",
    "owns_nothing",
    "refuses_statements",
    "transaction_aborted",
    "wrap_commit",
    "wrapped",
]

DEFAULT_ENGINE = "default"

_INERROR = 3  # libpq's PQTRANS_INERROR


# The record of the session whose COMMIT is under way; the first COMMIT on one of its connections sends all of them.
committing: ContextVar[Ledger | None] = ContextVar("flask_safesession.committing", default=None)


def wrap_commit(dialect: Dialect) -> None:
    """Put the wrapper on one dialect, which belongs to one engine."""
    original: Callable[[Any], None] = dialect.do_commit

    def do_commit(fairy: PoolProxiedConnection) -> None:
        ledger = committing.get()
        if ledger is not None and fairy in ledger.connections.values():
            if not ledger.sent:
                _commit_all(ledger, dialect, fairy)
            return
        try:
            original(fairy)
        except BaseException as error:
            not_committed(dialect, fairy, error)
            raise

    vars(dialect).update({"do_commit": do_commit, ORIGINAL: original})


def _commit_all(ledger: Ledger, dialect: Dialect, fairy: PoolProxiedConnection) -> None:
    """Check every database, then commit one after the other, beginning with *fairy* where there is only one."""
    ledger.sent = True
    is_alone = len(ledger.connections) == 1
    suspect = ledger.undone or ledger.failure is not None or ledger.overdue is not None
    if (
        suspect
        or _is_spoilt(ledger)
        or not is_alone
        or (dialect.driver in _STATUS and in_error(dialect, fairy))
    ):
        _check_or_roll_back(ledger)
    if ledger.owner is not None:
        ledger.owner.undo_demands()
    if is_alone:
        send(dialect, fairy, ledger)
    else:
        _send_in_order(ledger)
    ledger.stored = True


def _is_spoilt(ledger: Ledger) -> bool:
    """Whether a listener of the last flush, or of ``before_commit``, has made the scope rollback-only."""
    owner = ledger.owner
    return owner is not None and owner.state is not OPEN and not ledger.permitting


def _check_or_roll_back(ledger: Ledger) -> None:
    """Roll back what cannot be committed: a ``close()`` that follows would give the connection back as it is."""
    try:
        check_all(ledger)
    except errors.TransactionError as error:
        for connection in _usable(ledger):
            roll_back(connection.dialect, connection.connection, error)
        raise


def _send_in_order(ledger: Ledger) -> None:
    parts = sorted(
        filter(functools.partial(_is_ours, ledger), ledger.connections),
        key=functools.partial(_order, ledger),
    )
    for done, connection in enumerate(parts):
        try:
            send(connection.dialect, connection.connection, ledger)
        except BaseException as error:  # noqa: BLE001 - what this raises explains it
            _give_up(ledger, parts, done, error)


def _is_ours(ledger: Ledger, connection: Connection) -> bool:
    """Whether the session itself commits on *connection*: whoever has bound it to one may have kept the end."""
    transaction = ledger.transaction
    entry: Any = None if transaction is None else transaction._connections.get(connection)  # noqa: SLF001
    return entry is None or (entry[2] and not isinstance(entry[1], NestedTransaction))


def _order(ledger: Ledger, connection: Connection) -> tuple[bool, str]:
    name = ledger.rules.engine_name(connection.engine)
    return name != DEFAULT_ENGINE, name


def _usable(ledger: Ledger) -> list[Connection]:
    return [each for each in ledger.connections if not (each.closed or each.invalidated)]


def _give_up(ledger: Ledger, parts: list[Connection], done: int, error: BaseException) -> NoReturn:
    """Roll back what is left, and say which databases have stored their part."""
    for connection in parts[done + 1 :]:
        roll_back(connection.dialect, connection.connection, error)
    meaning = wrapped(parts[done], error)
    if is_broken(error):
        parts[done].invalidate(error)
    if done == 0:
        raise meaning from error
    names = [ledger.rules.engine_name(each.engine) for each in parts]
    broke = isinstance(meaning, DBAPIError) and meaning.connection_invalidated
    lost = is_interruption(error) or (broke and not is_not_stored(error))
    raise _partial(names, done, lost=lost) from meaning


def check_all(ledger: Ledger) -> None:
    """Refuse to go on where a database has given the transaction up, or it has gone on too long."""
    if _is_spoilt(ledger):
        raise cast(Any, ledger.owner).unexpected()
    ledger.check_overdue()
    failure = ledger.failure
    if failure is not None and failure.fatal:
        raise rolled_back_by_server(failure) from failure.error
    if len(ledger.connections) > 1 and any(each.invalidated for each in ledger.connections):
        raise connection_lost(failure) from (failure.error if failure else None)
    for connection in ledger.connections:
        if not connection.invalidated and failed_on_server(connection):
            raise would_answer_rollback(failure) from (failure.error if failure else None)


def transaction_aborted(error: BaseException) -> bool:
    """Whether *error* is PostgreSQL's answer to a statement that comes after one that failed."""
    return sqlstate(error.orig if isinstance(error, DBAPIError) else error) == "25P02"


def wrapped(connection: Connection, error: BaseException) -> BaseException:
    """*error* as SQLAlchemy would raise it; it wraps only what comes from the connection it is busy with."""
    if isinstance(error, SQLAlchemyError):
        return error  # MySQL's two phases are statements like any other
    dialect = connection.dialect
    base = dialect.loaded_dbapi.Error
    lost = isinstance(error, base) and dialect.is_disconnect(error, connection.connection, None)
    return DBAPIError.instance(
        None, None, error, base, connection_invalidated=lost, dialect=dialect
    )


def _partial(names: list[str], done: int, *, lost: bool) -> errors.PartialCommitError:
    """The COMMIT number *done* failed, or broke off with its connection *lost*."""
    unknown = names[done : done + 1] if lost else []
    stored, not_stored = names[:done], names[done + len(unknown) :]
    doubt = f" Whether it is stored on {_quoted(unknown)} is not known." if lost else ""
    rest = f", not stored on {_quoted(not_stored)}" if not_stored else ""
    return errors.PartialCommitError(
        f"COMMIT failed on '{names[done]}' after {_quoted(stored)} had committed: "
        f"stored on {_quoted(stored)}{rest}.{doubt} Mend the data by hand, and set "
        "'SAFESESSION_TWOPHASE=True' where all databases can prepare a transaction.",
        stored=stored,
        not_stored=not_stored,
        unknown=unknown,
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{each}'" for each in names)


def failed_on_server(connection: Connection) -> bool:
    """Whether PostgreSQL would answer COMMIT on *connection* with ROLLBACK."""
    dialect = connection.dialect
    if dialect.driver == "asyncpg":
        ledger = find_ledger(connection)
        if ledger is None or not (ledger.failure or ledger.undone):
            return False
        return refuses_statements(dialect, connection.connection)
    return dialect.driver in _STATUS and in_error(dialect, connection.connection)


def refuses_statements(dialect: Dialect, fairy: PoolProxiedConnection) -> bool:
    """Whether PostgreSQL refuses a statement because one before it failed: asyncpg does not tell what it knows."""
    cursor = fairy.cursor()
    try:
        cursor.execute("SELECT 1")
    except dialect.loaded_dbapi.Error as error:
        return transaction_aborted(error)
    finally:
        cursor.close()
    return False


def in_error(dialect: Dialect, fairy: PoolProxiedConnection) -> bool:
    """Whether PostgreSQL has given up the transaction on what came from a pool; others never say so."""
    raw = fairy.dbapi_connection
    status = _STATUS.get(dialect.driver)
    return raw is not None and status is not None and status(raw) == _INERROR


def commits_by_itself(dialect: Dialect, fairy: PoolProxiedConnection) -> bool:
    """Whether the driver's connection is in autocommit mode; SQLite's cannot be told from a BEGIN by hand."""
    reader = _AUTOCOMMIT.get(dialect.driver)
    if reader is None:
        return False
    raw = fairy.dbapi_connection
    return raw is not None and reader(raw)


def owns_nothing(connection: Connection, fairy: PoolProxiedConnection) -> bool:
    """Whether a transaction on *connection*, which has *fairy* from its pool, would store each statement at once."""
    dialect: Any = connection.dialect
    if dialect.name != "sqlite":
        return commits_by_itself(dialect, fairy)
    level = connection.get_execution_options().get("isolation_level")
    asked = (level or dialect._on_connect_isolation_level) == "AUTOCOMMIT"  # noqa: SLF001 - no other name
    # A listener of "begin" may send BEGIN.
    return asked and not getattr(driver_connection(connection), "in_transaction", True)


def _attribute(raw: DBAPIConnection) -> bool:
    return bool(raw.autocommit)


def _method(raw: DBAPIConnection) -> bool:
    return bool(raw.get_autocommit())


def _adapted(raw: Any) -> bool:
    """The adapters of SQLAlchemy 2.0.36 do not pass the method on."""
    return bool(raw.driver_connection.get_autocommit())


_AUTOCOMMIT: dict[str, Callable[[DBAPIConnection], bool]] = {
    "psycopg": _attribute,
    "psycopg2": _attribute,
    "asyncpg": _attribute,
    "pymysql": _method,
    "mysqldb": _method,
    "asyncmy": _adapted,
    "aiomysql": _adapted,
}


def _psycopg_status(raw: Any) -> int:
    # raw.info.transaction_status looks the number up in an enumeration first, which takes half a microsecond. The
    # driver's own connection stands behind SQLAlchemy's adapter in asynchronous code.
    return int(getattr(raw, "driver_connection", raw).pgconn.transaction_status)


def _psycopg2_status(raw: Any) -> int:
    return int(raw.get_transaction_status())


_STATUS: dict[str, Callable[[Any], int]] = {
    "psycopg": _psycopg_status,
    "psycopg2": _psycopg2_status,
}
