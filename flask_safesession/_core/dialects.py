"""What is put on a database dialect, once: the COMMIT wrapper, SQLite's missing BEGIN, and a listener for errors."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import Dialect, ExceptionContext
from sqlalchemy.engine.default import DefaultDialect

from .. import errors
from .commit import commits_by_itself, transaction_aborted, wrap_commit
from .driver_codes import (
    begins_late,
    changes_data,
    ends_transaction,
    mark_first,
    mark_timeout,
    refuses_write,
)
from .faults import classify
from .forks import watch
from .holding import watch_pool
from .ledger import Failure, Ledger, Rules, driver_connection, find_ledger, note_begin
from .places import outside
from .sending import LISTEN, is_broken, is_commit_error, mark_commit
from .twophase import wrap_twophase
from .wording import sentence

__all__ = ["WIRED", "wire_dialect", "wire_engine"]

WIRED = "_safesession_wired"
_LOCK = threading.Lock()
_NOBODY = Rules()
_PLAIN = {"SELECT", "INSERT", "UPDATE", "DELETE", "PRAGMA"}


def wire_engine(engine: Engine, rules: Rules = _NOBODY) -> None:
    """Wire *engine* and its dialect for an app with *rules*, unless that is done already."""
    if WIRED not in vars(engine.dialect):
        watch(engine)
        watch_pool(engine, rules)
        wire_dialect(engine.dialect)


def wire_dialect(dialect: Dialect) -> None:
    """Wire *dialect*, unless it is wired already."""
    if WIRED not in vars(dialect):
        with _LOCK:
            _wire(dialect)


def _wire(dialect: Dialect) -> None:
    if LISTEN in vars(dialect):
        return
    wrap_commit(dialect)
    wrap_twophase(dialect)
    if dialect.name == "sqlite":
        _wrap_savepoint(dialect)
        _wrap_execute(dialect)
        _wrap_rarer_executes(dialect)
    _listen_from_first_error(dialect)
    vars(dialect)[WIRED] = True


def _listen_from_first_error(dialect: Dialect) -> None:
    """Listen to errors from the first one on, which SQLAlchemy shows to ``is_disconnect`` before it asks its listeners.

    A dialect that has listeners takes a slower path for each statement.
    """
    original: Callable[..., bool] = dialect.is_disconnect

    def listen() -> None:
        with _LOCK:
            if not event.contains(dialect, "handle_error", _on_error):
                event.listen(dialect, "handle_error", _on_error)

    def is_disconnect(*args: Any) -> bool:
        listen()
        return original(*args)

    vars(dialect).update({"is_disconnect": is_disconnect, LISTEN: listen})


def _wrap_savepoint(dialect: Dialect) -> None:
    """Send BEGIN before a first SAVEPOINT: without one, SQLite's RELEASE commits.

    See https://www.sqlite.org/lang_savepoint.html; Python's driver begins only before a write.
    """
    original: Callable[[Connection, str], None] = dialect.do_savepoint

    def do_savepoint(connection: Connection, name: str) -> None:
        _begin_unless_begun(connection)
        original(connection, name)

    vars(dialect)["do_savepoint"] = do_savepoint


def _wrap_execute(dialect: Dialect) -> None:
    """Send BEGIN inside a scope before a write that Python's driver does not take for one: it would stay stored.

    The driver looks for INSERT, UPDATE, DELETE and REPLACE at the start; ``WITH … INSERT``, CREATE and SAVEPOINT begin
    otherwise.
    """
    original: Callable[..., None] = dialect.do_execute
    is_stock = getattr(original, "__func__", None) is DefaultDialect.do_execute

    def do_execute(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        # Most statements start with one of these, which the driver knows; the look spares them a call.
        if statement[:6] not in _PLAIN:
            _begin_late(statement, context)
        if is_stock:
            cursor.execute(statement, parameters)  # all that the original does
        else:
            original(cursor, statement, parameters, context)

    vars(dialect)["do_execute"] = do_execute


def _wrap_rarer_executes(dialect: Dialect) -> None:
    """The same for a statement with many rows of parameters, and for one without any."""
    many: Callable[..., None] = dialect.do_executemany
    without: Callable[..., None] = dialect.do_execute_no_params

    def do_executemany(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        _begin_late(statement, context)
        many(cursor, statement, parameters, context)

    def do_execute_no_params(cursor: Any, statement: str, context: Any = None) -> None:
        _begin_late(statement, context)
        without(cursor, statement, context)

    vars(dialect).update(do_executemany=do_executemany, do_execute_no_params=do_execute_no_params)


def _begin_late(statement: str, context: Any) -> None:
    if context is None or not begins_late(statement):
        return
    ledger = find_ledger(context.root_connection)
    if ledger is not None and ledger.owner is not None:
        _begin_unless_begun(context.root_connection)


def _begin_unless_begun(connection: Connection) -> None:
    raw: Any = connection.connection.dbapi_connection
    if raw is not None and not getattr(driver_connection(connection), "in_transaction", True):
        raw.execute("BEGIN")
        note_begin(connection)


def _on_error(context: ExceptionContext) -> BaseException | None:
    if is_broken(context.original_exception) or _failed_to_roll_back(context):
        context.is_disconnect = True
    if context.is_disconnect and _committed_by_itself(context):
        mark_commit(context.original_exception)
    ledger = None if context.connection is None else find_ledger(context.connection)
    if ledger is None or context.statement is None or context.sqlalchemy_exception is None:
        return None
    if ledger.owner is not None and ledger.owner.timeout is not None:
        mark_timeout(context.original_exception)
    if ledger.failure is not None and _follows(ledger.failure, context):
        mark_first(context.original_exception, ledger.failure.fault)
    ledger.fail(_failure(ledger, context))
    if ledger.owner is not None and ledger.owner.options.read_only:
        return _read_only(ledger, context)
    return None


def _failed_to_roll_back(context: ExceptionContext) -> bool:
    """Whether a ROLLBACK or its like failed: the state of the connection is anybody's guess."""
    error = context.original_exception
    if context.connection is None or context.statement is not None or is_commit_error(error):
        return False
    return isinstance(error, context.dialect.loaded_dbapi.Error)


def _committed_by_itself(context: ExceptionContext) -> bool:
    """Whether a statement in AUTOCOMMIT was under way: what it did may be stored."""
    connection = context.connection
    if connection is None or context.statement is None or connection.invalidated:
        return False
    return commits_by_itself(context.dialect, connection.connection)


def _follows(first: Failure, context: ExceptionContext) -> bool:
    """Whether what failed now is a consequence of the *first* failure.

    The transaction is gone, or its savepoint: MariaDB answers 1305 after a deadlock, which took that with it.
    """
    return (
        first.fatal
        or (context.statement or "").startswith(("ROLLBACK TO", "RELEASE"))
        or transaction_aborted(context.original_exception)
    )


def _failure(ledger: Ledger, context: ExceptionContext) -> Failure:
    error = context.sqlalchemy_exception or context.original_exception
    return Failure(
        text=str(context.original_exception),
        place=outside().place,
        error=None if ledger.owner is None else error,
        fatal=_transaction_is_gone(ledger, context),
        fault=classify(error),
    )


def _transaction_is_gone(ledger: Ledger, context: ExceptionContext) -> bool:
    """Whether the database ended the transaction with the statement (SQLite tells by itself)."""
    if not ends_transaction(context.dialect.name, context.original_exception):
        return False
    if context.dialect.name != "sqlite":
        return True
    wrote = ledger.written or changes_data(context.statement or "")
    raw = None if context.connection is None else driver_connection(context.connection)
    return wrote and not getattr(raw, "in_transaction", True)


def _read_only(ledger: Ledger, context: ExceptionContext) -> BaseException | None:
    """The database's refusal of a write, as an error that ``except`` finds under both names."""
    stock = context.sqlalchemy_exception
    scope = ledger.owner
    if (
        stock is None
        or scope is None
        or not refuses_write(context.dialect.name, context.original_exception)
    ):
        return None
    bases = (errors.ReadOnlyError, type(stock))
    both: Any = type("ReadOnlyError", bases, {"__module__": errors.__name__})
    error: BaseException = both.__new__(both)
    vars(error).update(vars(stock))
    text = (
        f"A write was sent inside the read-only transaction that {scope.owner_text}: "
        f"{sentence(context.original_exception)} Write outside it, or open that scope without 'read_only=True'."
    )
    error.args = (text,)
    return error


def _release() -> None:
    if _LOCK.locked():  # a server in C may skip the hook before
        _LOCK.release()


with contextlib.suppress(AttributeError):  # Windows does not fork
    # A child would find a dialect half wired, and the lock held by a thread that it does not have.
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_release, after_in_child=_release)
