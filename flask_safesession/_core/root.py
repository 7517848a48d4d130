"""The outermost transaction of a session, where somebody holds it in hand, and what its end sets going."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction
from typing_extensions import Self

from .. import errors
from .commit import committing
from .dialects import wire_engine
from .ledger import Ledger, ledger_of
from .outcome import Outcome
from .ownership import GuardedConnection, nothing, poison, refuse, unguard_connection
from .sending import lost_in_commit
from .sharing import admit, admit_end
from .twophase import joining

__all__ = [
    "RootTransaction",
    "become_root",
    "commit_failed",
    "end_page",
    "inside_savepoint",
    "prepare_together",
    "run_hooks",
]


class RootTransaction(SessionTransaction):
    """What ``session.begin()`` and ``session.get_transaction()`` give away: it too asks the ledger before it ends."""

    _entered = False
    _ending = False
    _outcome: Outcome | None = None
    _ledger: Ledger

    def commit(self, _to_root: bool = False) -> None:
        admit(self.session)
        ledger = self._ledger
        if ledger.guarded:
            refuse(self.session, "commit", self.commit, self.session.flush)
            return
        ledger.sent = ledger.stored = False
        token = committing.set(ledger)
        self._ending = True
        try:
            super().commit(_to_root)
        except BaseException as error:
            self._ending = False
            self._finish(commit_failed(ledger, error))
            raise
        finally:
            committing.reset(token)
        self._finish(Outcome.COMMITTED)

    def rollback(self, _capture_exception: bool = False, _to_root: bool = False) -> None:
        admit_end(self.session)
        if self._ledger.guarded:
            session = self.session
            refuse(session, "rollback", self.rollback, lambda: poison(session))
            return
        self._ending = True
        super().rollback(_capture_exception, _to_root)
        self._finish(Outcome.ROLLED_BACK)

    def close(self, invalidate: bool = False) -> None:
        if self._ledger.guarded:
            refuse(self.session, "close", self.close, nothing)
            return
        connections = self._ledger.connections
        try:
            super().close(invalidate)
        finally:
            end_page(self._ledger, connections)
        if not self._ending:
            self._finish(Outcome.ROLLED_BACK)

    def __enter__(self) -> Self:
        self._entered = True
        super().__enter__()
        return self

    def __exit__(self, type_: object, value: object, traceback: object) -> None:
        try:
            super().__exit__(type_, value, traceback)
        finally:
            self._entered = False
            self._finish(self._outcome)

    def _finish(self, outcome: Outcome | None) -> None:
        """Run the hooks, but not before a ``with session.begin():`` around has ended."""
        self._outcome = self._outcome or outcome
        if self._outcome is not None and not self._entered:
            run_hooks(self._ledger, self._outcome)


class TwoPhaseRoot(RootTransaction):
    """The same for a session that prepares: its parts get ids that belong together."""

    def _connection_for_bind(self, bind: Any, execution_options: Any) -> Connection:
        wire_engine(bind.engine, self._ledger.rules)
        token = joining.set((self._ledger, bind.engine))
        try:
            return super()._connection_for_bind(bind, execution_options)
        finally:
            joining.reset(token)


def prepare_together(session: Session) -> None:
    """Let the transactions of *session* be prepared on each database before the first one commits."""
    session.twophase = True
    event.listen(session, "after_transaction_create", _on_create)


def _on_create(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        become_root(transaction, ledger_of(session), TwoPhaseRoot)


def become_root(
    transaction: SessionTransaction | None,
    ledger: Ledger,
    kind: type[RootTransaction] = RootTransaction,
) -> None:
    """Let *transaction* ask *ledger* before it ends."""
    if type(transaction) is SessionTransaction:  # neither None nor one that does so already
        root = cast(Any, transaction)
        root.__class__, root._ledger, ledger.root = kind, ledger, root


def commit_failed(ledger: Ledger, error: BaseException) -> Outcome | None:
    """The outcome of a COMMIT that raised, where it is not the rollback that comes next."""
    if ledger.stored:
        return Outcome.COMMITTED
    doubtful = lost_in_commit(error) or isinstance(error, errors.PartialCommitError)
    return Outcome.UNKNOWN if doubtful else None


def end_page(ledger: Ledger, connections: dict[Connection, Any]) -> None:
    """The transaction is over: nothing is kept of it but the hooks that wait for its outcome.

    Args:
        ledger: The record of its session.
        connections: Those of the transaction. Where a listener of its end has begun the next one, there are others.
    """
    if ledger.connections is not connections:
        return
    for connection in connections:
        if isinstance(connection, GuardedConnection):
            unguard_connection(connection)
    ledger.end()


def inside_savepoint(session: Session) -> bool:
    """Whether a ``with session.begin_nested():`` is around; SQLAlchemy does not tell otherwise."""
    around: SessionTransaction | None = session._trans_context_manager  # type: ignore[assignment]  # noqa: SLF001
    return around is not None and around.nested


def run_hooks(ledger: Ledger, outcome: Outcome | None) -> None:
    """Run the hooks of a hand-written transaction; a scope runs its own, after it has stepped out."""
    if outcome is None or ledger.hooks is None:
        return
    if ledger.owner is None or ledger.permitting:
        ledger.run_hooks(outcome)
