"""What happens when somebody who does not own a transaction wants to end it, or to begin another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.orm import Session

from .. import errors
from .driver_codes import boundary_of
from .ledger import Ledger, find_ledger, ledger_of
from .places import Caller, outside
from .scope import Owner
from .sharing import admit
from .wording import not_owner

__all__ = [
    "GuardedConnection",
    "check_text",
    "guard_connection",
    "nothing",
    "poison",
    "refuse",
    "unguard_connection",
]

R = TypeVar("R")


def refuse(session: Session, call: str, real: Callable[[], R], deferred: Callable[[], R]) -> R:
    """Do what the app's settings say about *call* inside somebody's scope.

    Args:
        session: The session whose transaction belongs to a scope.
        call: The name of the method.
        real: What the method does.
        deferred: What it does instead where the setting is ``"defer"``.

    Raises:
        TransactionOwnershipError: Where the setting is ``"raise"``.
    """
    ledger = ledger_of(session)
    caller = outside(call)
    mode = ledger.rules.mode_for(caller.module)
    if mode == "defer":
        return deferred()
    owner = _owner(ledger)
    if mode != "off":
        _complain(owner, caller, call, mode)
    owner.undo_demands()
    ledger.guarded, ledger.permitting = False, True
    try:
        return real()
    finally:
        if not session.in_transaction():
            session.begin()  # the scope goes on
        ledger.guarded, ledger.permitting = True, False
        ledger.sent = ledger.stored = False  # of what goes on nothing is


def check_text(session: Session, statement: TextClause) -> TextClause:
    """The statement to send where *statement* was given inside somebody's scope, which it may end as SQL.

    Raises:
        TransactionOwnershipError: If it does, and the setting is ``"raise"``.
    """
    found = boundary_of(statement.text)
    ledger = ledger_of(session)
    if found is None or (found.call == "begin" and _begins_loudly(ledger)):
        return statement
    caller = outside("execute")
    mode = ledger.rules.mode_for(caller.module)
    if mode == "defer":
        _DEFERRED[found.call](session)
        return text("SELECT 1")
    if mode != "off":
        _complain(_owner(ledger), caller, found.call, mode, found.sql)
    return statement


def _begins_loudly(ledger: Ledger) -> bool:
    """Whether BEGIN ends nothing: it comes first, or to SQLite, which refuses it where a transaction is open."""
    return all(each.dialect.name == "sqlite" for each in ledger.connections)


def poison(session: Session) -> None:
    """Make the scope of *session* rollback-only."""
    _owner(ledger_of(session)).poison(None, None)


def _owner(ledger: Ledger) -> Owner:
    """The owner; only sessions that have one are guarded."""
    return cast(Owner, ledger.owner)


def nothing() -> None:
    """Leave the end to the owner."""


_DEFERRED: dict[str, Callable[[Session], None]] = {
    "begin": lambda session: None,
    "commit": lambda session: session.flush(),
    "rollback": poison,
}


class GuardedConnection(Connection):
    """A connection inside a scope: ``session.connection().commit()`` and its like ask the ledger first."""

    def commit(self) -> None:
        _connection_call(self, "commit", super().commit)

    def rollback(self) -> None:
        _connection_call(self, "rollback", super().rollback)

    def close(self) -> None:
        _connection_call(self, "close", super().close)

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        if type(statement) is TextClause:
            statement = _checked(self, statement)
        return super().execute(statement, *args, **kwargs)

    def exec_driver_sql(self, statement: str, *args: Any, **kwargs: Any) -> Any:
        sent = _checked(self, TextClause(statement)).text
        return super().exec_driver_sql(sent, *args, **kwargs)


def guard_connection(connection: Connection) -> None:
    """Guard *connection*; without a scope the guard lets everything pass."""
    kind = type(connection)
    if not issubclass(kind, GuardedConnection):
        connection.__class__ = _guarded_connection_class(cast(Hashable, kind))


def unguard_connection(connection: GuardedConnection) -> None:
    """Take the guard off: tests lend one connection to many sessions."""
    connection.__class__ = type(connection).__mro__[2]


@functools.cache
def _guarded_connection_class(kind: Any) -> type[Connection]:
    return type(kind.__name__, (GuardedConnection, kind), {})


def _checked(connection: Connection, statement: TextClause) -> TextClause:
    """The statement to send; one that the session was given has been looked at there."""
    ledger = find_ledger(connection)
    if ledger is None or not ledger.guarded or ledger.last is statement:
        return statement
    return check_text(_owner(ledger).session, statement)


def _connection_call(connection: Connection, call: str, real: Callable[[], None]) -> None:
    ledger = find_ledger(connection)
    if ledger is None or not ledger.guarded:
        real()
        return
    session = _owner(ledger).session
    admit(session)
    deferred: dict[str, Callable[[], None]] = {
        "commit": session.flush,
        "rollback": lambda: poison(session),
        "close": nothing,
    }
    refuse(session, call, real, deferred[call])


def _complain(owner: Owner, caller: Caller, call: str, mode: str, sql: str | None = None) -> None:
    name = caller.called if caller.called == "remove" else call
    message = not_owner(name, caller.place, owner, sql)
    if mode == "raise":
        raise errors.TransactionOwnershipError(message)
    caller.warn(message, errors.OwnershipWarning)
