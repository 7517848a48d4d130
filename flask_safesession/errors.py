"""Every error and warning of this package: one class, one stable code, one page in the reference.

A message says three things, in this order: what happened, where in the reader's program it comes from, and which
call to make instead. SQLAlchemy's own exceptions are never wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "CommitOutcomeUnknownError",
    "ContextError",
    "DetachedArgumentError",
    "HeldConnectionError",
    "HeldConnectionWarning",
    "IsolationMismatchError",
    "IsolationUnavailableError",
    "LeakError",
    "LeakWarning",
    "NoAppError",
    "NoTransactionError",
    "OwnershipWarning",
    "PartialCommitError",
    "PoolStarvationError",
    "ReadOnlyError",
    "SafeSessionError",
    "SafeSessionWarning",
    "SelfDeadlockError",
    "SessionSharedError",
    "SessionSharedWarning",
    "StaleContextError",
    "StaleContextWarning",
    "TransactionActiveError",
    "TransactionError",
    "TransactionOwnershipError",
    "UncommittedChangesError",
    "UncommittedChangesWarning",
    "UnexpectedRollbackError",
]


class SafeSessionError(Exception):
    """Base of every error that this package raises itself."""

    code: ClassVar[str] = "safe-session"


class TransactionError(SafeSessionError):
    """Base of the errors about a transaction and its owner."""

    code = "transaction"


class NoTransactionError(TransactionError):
    """A scope was required and none was open."""

    code = "no-transaction"


class TransactionActiveError(TransactionError):
    """A transaction was open where the code asked that none is."""

    code = "transaction-active"


class TransactionOwnershipError(TransactionError):
    """Code that does not own the transaction tried to end it or to begin another."""

    code = "transaction-ownership"


class UnexpectedRollbackError(TransactionError):
    """The owner wanted to commit, but the transaction can only be rolled back.

    ``__cause__`` is the exception that made it so, where one is known.
    """

    code = "unexpected-rollback"


class CommitOutcomeUnknownError(TransactionError):
    """The connection broke during COMMIT: nobody knows whether the transaction is stored."""

    code = "commit-outcome-unknown"


class PartialCommitError(TransactionError):
    """Several databases took part, and one COMMIT failed after another had succeeded.

    Attributes:
        stored: Names of the binds whose COMMIT succeeded.
        not_stored: Names of the binds that were rolled back.
        unknown: The name of the bind whose connection broke during COMMIT, so that its part is in doubt.
    """

    code = "partial-commit"

    def __init__(
        self,
        message: str,
        *,
        stored: Sequence[str] = (),
        not_stored: Sequence[str] = (),
        unknown: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.stored: tuple[str, ...] = tuple(stored)
        self.not_stored: tuple[str, ...] = tuple(not_stored)
        self.unknown: tuple[str, ...] = tuple(unknown)


class PoolStarvationError(TransactionError):
    """A second connection was needed that this pool can never give."""

    code = "pool-starvation"


class SelfDeadlockError(TransactionError):
    """A second transaction would wait for a lock that its own caller holds."""

    code = "self-deadlock"


class HeldConnectionError(TransactionError):
    """A transaction went on after it had held its connection too long."""

    code = "held-connection"


class IsolationMismatchError(TransactionError):
    """An isolation level or read-only mode was asked for that the open transaction does not have."""

    code = "isolation-mismatch"


class ReadOnlyError(TransactionError):
    """A write was sent inside a read-only scope and the database refused it."""

    code = "read-only"


class ContextError(SafeSessionError):
    """Base of the errors about application contexts and their sessions."""

    code = "context"


class NoAppError(ContextError, RuntimeError):
    """No application, application context or database was there to work with.

    It is a :class:`RuntimeError` too, as Flask's own "Working outside of application context" is.
    """

    code = "no-app"


class StaleContextError(ContextError):
    """A session was reached through an application context that had already ended."""

    code = "stale-context"


class SessionSharedError(ContextError):
    """A session was used by another thread, greenlet, task or process than the one that has it."""

    code = "session-shared"


class DetachedArgumentError(ContextError):
    """A job, or a function that is tried again, was handed what belongs elsewhere: an instance, a session, a query."""

    code = "detached-argument"


class UncommittedChangesError(ContextError):
    """A context ended with changes that nobody committed."""

    code = "uncommitted-changes"


class IsolationUnavailableError(SafeSessionError):
    """A test asked for something that its isolation, or its database, cannot give."""

    code = "isolation-unavailable"


class LeakError(SafeSessionError):
    """A test left a scope, a connection, a context or a job behind."""

    code = "leak"


class SafeSessionWarning(UserWarning):
    """Base of the warnings of this package; each guard has its own subclass."""

    code: ClassVar[str] = "safe-session-warning"


class OwnershipWarning(SafeSessionWarning):
    """``SAFESESSION_OWNERSHIP="warn"``: see :class:`TransactionOwnershipError`."""

    code = "transaction-ownership"


class UncommittedChangesWarning(SafeSessionWarning):
    """``SAFESESSION_UNCOMMITTED="warn"``: see :class:`UncommittedChangesError`."""

    code = "uncommitted-changes"


class SessionSharedWarning(SafeSessionWarning):
    """``SAFESESSION_SHARING="warn"``: see :class:`SessionSharedError`."""

    code = "session-shared"


class StaleContextWarning(SafeSessionWarning):
    """``SAFESESSION_STALE_CONTEXT="warn"``: see :class:`StaleContextError`."""

    code = "stale-context"


class HeldConnectionWarning(SafeSessionWarning):
    """``SAFESESSION_HELD_CONNECTION="warn"``: a connection is held too long, or past the end of its context."""

    code = "held-connection"


class LeakWarning(SafeSessionWarning):
    """``safesession_leaks = "warn"``: see :class:`LeakError`."""

    code = "leak"
