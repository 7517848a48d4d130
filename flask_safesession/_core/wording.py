"""The sentences of the errors about transactions: fact, cause in this program, call to make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from .. import errors
from .ledger import Failure
from .places import Place, outside

if TYPE_CHECKING:
    from .scope import Scope

__all__ = [
    "autocommit",
    "commit_interrupted",
    "connection_lost",
    "ended_underneath",
    "handed_on",
    "inherited",
    "left_open",
    "not_owner",
    "outcome_unknown",
    "poisoned",
    "refused_statement",
    "rejected",
    "rolled_back_by_server",
    "sentence",
    "session_ended",
    "session_inactive",
    "shared",
    "would_answer_rollback",
]

_INSTEAD_HERE = {
    "begin": ", or call 'begin_nested()'",
    "commit": ", or call 'flush()'",
    "rollback": ", or call 'current_scope().set_rollback_only()'",
}

_INSTEAD = {
    "begin": "Call 'begin_nested()'",
    "commit": "Call 'flush()'",
    "prepare": "Call 'flush()'",
    "rollback": "Raise an exception, or call 'current_scope().set_rollback_only()'",
    "invalidate": "Raise an exception, or call 'current_scope().set_rollback_only()'",
}

_LET_IT_OUT = (
    "Let the exception leave the scope, or put the statement that may fail into "
    "'with session.begin_nested():' and catch the exception around that block."
)


def sentence(error: object) -> str:
    """The first line of somebody else's message, with a stop at its end."""
    line = str(error).strip().partition("\n")[0]
    return line if line.endswith((".", "!", "?")) else f"{line}."


def would_answer_rollback(failure: Failure | None) -> errors.UnexpectedRollbackError:
    """PostgreSQL answers COMMIT with ROLLBACK, and reports no error (SQLSTATE 25P02 until then)."""
    fact = "COMMIT was not sent: a statement of this transaction failed, and the database would answer with ROLLBACK."
    return _unexpected(fact, failure)


def rolled_back_by_server(failure: Failure) -> errors.UnexpectedRollbackError:
    """MariaDB after 1213 and 1020, SQLite after a full disk and the like: the transaction is gone already."""
    fact = "COMMIT was not sent: the database has rolled this transaction back, and would store only what came later."
    return _unexpected(fact, failure)


def connection_lost(failure: Failure | None) -> errors.UnexpectedRollbackError:
    """A connection broke or was invalidated, and nobody let the exception out."""
    return _unexpected(
        "The transaction was rolled back because a connection in it was lost.", failure
    )


def session_inactive(failure: Failure | None) -> errors.UnexpectedRollbackError:
    """A flush failed and nobody let its exception out: SQLAlchemy has rolled the transaction back."""
    return _unexpected("The transaction was rolled back because a flush in it failed.", failure)


def _unexpected(fact: str, failure: Failure | None) -> errors.UnexpectedRollbackError:
    cause = (
        ""
        if failure is None
        else f" The exception of {failure.place} was swallowed: {sentence(failure.text)}"
    )
    return errors.UnexpectedRollbackError(f"{fact}{cause} {_LET_IT_OUT}")


def poisoned(scope: Scope, inner: Scope | None, error: BaseException | None) -> str:
    """Why *scope* can only be rolled back."""
    if inner is None:
        return f"A service asked for a rollback inside the transaction of {scope}."
    if error is None:
        return f"{inner} called 'set_rollback_only()' inside the transaction of {scope}."
    return (
        f"{inner} failed inside the transaction of {scope} with {type(error).__name__}: {sentence(error)} "
        "That exception was swallowed."
    )


def rejected(scope: Scope, error: BaseException) -> str:
    """Why *scope* can only be rolled back after *error* of a connection that was taken for it."""
    return (
        f"A connection could not be made what {scope} needs, with {type(error).__name__}: {sentence(error)} "
        "That exception was swallowed."
    )


def refused_statement(reason: str) -> errors.UnexpectedRollbackError:
    """A statement after the *reason* why the transaction can only be rolled back."""
    return errors.UnexpectedRollbackError(
        f"{reason} The transaction can only be rolled back, and takes no more statements. Let the exception out, "
        "or open the inner scope with 'session_manager(propagation=\"nested\")'."
    )


def not_owner(call: str, caller: Place, scope: Scope, sql: str | None = None) -> str:
    """Somebody ended a transaction that belongs to *scope*, by *sql* if given, or the owner did so inside the block."""
    deed = f"called '{call}()'" if sql is None else f"sent '{sql}'"
    fact = f"'{caller.function}' {deed} ({caller.where}) inside the transaction that {scope.owner_text}."
    if caller.code is scope.root.place.code:
        return (
            f"{fact} The scope commits at the end of its block, and rolls back when an exception leaves it: remove the "
            f"call{_INSTEAD_HERE.get(call, '')}."
        )
    instead = _INSTEAD.get(call, "Leave that to the owner")
    return (
        f"{fact} {instead} here, or let '{caller.function}' open its own transaction with "
        "'session_manager(propagation=\"requires_new\")'."
    )


def ended_underneath(scope: Scope) -> errors.TransactionOwnershipError:
    """The database transaction was ended past the session, for example on its connection's own transaction."""
    return errors.TransactionOwnershipError(
        f"The transaction of {scope} was ended by somebody else on its connection, for example with "
        "'session.connection().get_transaction().commit()'. Leave the end to the block of the scope."
    )


def outcome_unknown(
    scope: Scope, error: BaseException, waited: float | None
) -> errors.CommitOutcomeUnknownError:
    """The connection broke with *error* between the COMMIT and its reply, or was ended after *waited* seconds."""
    fact = (
        f"The connection broke while the COMMIT of {scope} was under way: {sentence(error)}"
        if waited is None
        else f"The COMMIT of {scope} had no answer within {waited:g} s ('SAFESESSION_COMMIT_TIMEOUT'), and its "
        "connection was ended."
    )
    return errors.CommitOutcomeUnknownError(
        f"{fact} Whether it is stored is not known. Look the rows up before you do the work again; 'on_unknown()' "
        "registers a function for this case."
    )


def commit_interrupted(scope: Scope) -> str:
    """The note on an exception that came from outside between the COMMIT and its reply."""
    return (
        f"This came while the COMMIT of {scope} was under way. Whether it is stored is not known. Look the rows up "
        "before you do the work again; 'on_unknown()' registers a function for this case."
    )


def session_ended() -> errors.StaleContextError:
    """Somebody kept a session whose application context or ``requires_new`` block has ended."""
    return errors.StaleContextError(
        f"{outside().place} used a session whose context or block has ended. Use 'db.session' or the session of the "
        "block that is open now, or open another with 'session_manager()'."
    )


def inherited(what: str) -> errors.SessionSharedError:
    """A forked child used *what* its parent had opened."""
    return errors.SessionSharedError(
        f"{outside().place} used {what} in process {os.getpid()}, which was forked after it had been opened: it "
        "belongs to the parent process, whose transaction goes on. Use 'db.session', which is a new one in this "
        "process, or open a transaction of its own with 'session_manager()'."
    )


def shared(user: str, tenant: str, place: Place, *, between_tasks: bool) -> str:
    """One thread, greenlet or task used the session that another has."""
    instead = (
        "Await the call in the task that has the session: 'create_task()', 'gather()' and 'shield()' make tasks of "
        "their own. Or open a session there, by 'async with session_manager():'."
        if between_tasks
        else "Open one of its own with 'session_manager()' inside 'with AppContextManager(app):', or let its holder "
        "pass it on with 'handoff(session)'."
    )
    return (
        f"{user} used the session that {tenant} got at {place}. A session serves one thread, greenlet or task at a "
        f"time. {instead}"
    )


def left_open(user: str, place: Place) -> str:
    """The one that had the session has ended, with a transaction open."""
    return (
        f"{user} used the session of a thread, greenlet or task that has ended: it got the session at {place}, and "
        "left a transaction open. Commit there, or pass the session on with 'handoff(session)'; call 'rollback()' "
        "here to give up what it changed."
    )


def handed_on(user: str) -> str:
    """The giver went on using what it had handed on."""
    return (
        f"{user} used a session after it had passed it on with 'handoff()'. The session belongs to the next thread, "
        "greenlet or task that uses it. Do this work before 'handoff()', or open another session with "
        "'session_manager(propagation=\"requires_new\")'."
    )


def autocommit(scope: Scope, connection: Connection) -> errors.IsolationMismatchError:
    """*connection* commits each statement, so that *scope* would own nothing."""
    return errors.IsolationMismatchError(
        f"{scope} got a connection to '{connection.engine.url}' that commits each statement by itself (AUTOCOMMIT), so "
        "nothing could be rolled back. Give the app an engine without 'isolation_level=\"AUTOCOMMIT\"', and keep "
        "that one for work outside of scopes."
    )
