"""The scope that owns a transaction, and the only one that ends it."""

from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InvalidRequestError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.orm import Session

from .. import errors
from . import wording
from .binding import refuse_statements, vet_engines
from .commit import failed_on_server, owns_nothing, transaction_aborted
from .demands import Demands
from .guard import entered_by_hand
from .ledger import Failure, Ledger, ledger_of
from .notes import add_note
from .options import ScopeOptions
from .outcome import COMMITTED, Outcome
from .ownership import guard_connection
from .places import Place
from .pool import check_second_connection
from .root import inside_savepoint
from .scope import Home, Owner, Scope
from .sending import is_interruption, lost_in_commit, seconds_waited
from .sharing import admit
from .states import ENDED, OPEN, State

__all__ = ["NewScope", "OwnedScope", "resume", "suspend"]


class OwnedScope(Owner):
    """A transaction of the current session, from here to the end of the block."""

    __slots__ = ("_demands", "_ledger", "_outcome")

    def __init__(self, home: Home, options: ScopeOptions, place: Place) -> None:
        session: Any = home.session()
        admit(session, place)
        super().__init__(home, session, options, place)
        self._ledger: Ledger = session._safesession_ledger
        self._outcome: Outcome | None = None
        self._demands: Demands | None = None
        if session.in_transaction():
            self._adopt()
        else:
            session.safesession_begin()
        self._ledger.own(self)
        home.scope = self

    @property
    def ledger(self) -> Ledger:
        return self._ledger

    @property
    def demands(self) -> Demands:
        if self._demands is None:
            self._demands = Demands(self.options)
        return self._demands

    @property
    def timeout(self) -> float | None:
        return None if self._demands is None else self._demands.timeout

    def undo_demands(self) -> None:
        if self._demands is not None:
            self._demands.undo()

    @property
    def outcome(self) -> str | None:
        return None if self._outcome is None else self._outcome.value

    def connected(self, connection: Connection) -> None:
        try:
            self._demand(connection)
        except BaseException as error:
            # SQLAlchemy has the connection already, and would not ask again before the next statement.
            self._reject(error)
            raise

    def _demand(self, connection: Connection) -> None:
        if owns_nothing(connection, self._ledger.connections[connection]):
            raise wording.autocommit(self, connection)
        if not self.options.plain or self._demands is not None:
            self.demands.connected(connection)

    def _reject(self, error: BaseException) -> None:
        """Become rollback-only, because *error* kept a connection from being what this asks for."""
        self.state, self.quiet = State.ROLLBACK_ONLY, False
        if self.poison_text is None:
            self.poison_text, self.poison_error = wording.rejected(self, error), error
        self._refuse_statements(self.poison_text)

    def leave(self, error: BaseException | None) -> None:
        """Commit, or roll back; give the connection back; then run the hooks.

        Raises:
            UnexpectedRollbackError: If the block ended well and the transaction cannot be committed.
            CommitOutcomeUnknownError: If the connection broke during COMMIT.
            PartialCommitError: If one of several databases committed and another did not.
        """
        admit(self.session)
        try:
            if error is None and self.state is OPEN and self.home.scope is self:
                self._commit()
            else:
                self._give_up(error)
        except BaseException as failure:
            self._after(failure)
            raise
        self._after(error)

    def _give_up(self, error: BaseException | None) -> None:
        """Roll back, and tell an owner who did not ask for that."""
        if error is not None and self.session.is_active and self._ended_underneath():
            add_note(error, str(wording.ended_underneath(self)))
        self._roll_back(error)
        if error is None:
            self.check_order()
            if not self.quiet:
                raise self.unexpected()

    def _adopt(self) -> None:
        """Take over what earlier code of the same context has begun."""
        if self._ledger.root is not None and entered_by_hand(self._ledger.root):
            raise errors.TransactionActiveError(
                f"{self} was opened inside 'with session.begin():', which owns the transaction and will end it. "
                "Replace that block by 'with session_manager():'."
            )
        if inside_savepoint(self.session):
            raise errors.TransactionActiveError(
                f"{self} was opened inside 'with session.begin_nested():', whose savepoint it would end. "
                "Open 'with session_manager():' around that block."
            )
        connections = self._ledger.connections
        if connections and (self.options.read_only or self.options.isolation_level):
            raise errors.IsolationMismatchError(
                f"{self} asked for 'read_only' or 'isolation_level', but this session has already sent statements. "
                "Open the scope before the first query, or give it 'propagation=\"requires_new\"' inside another scope."
            )
        for connection, fairy in connections.items():
            if owns_nothing(connection, fairy):
                raise wording.autocommit(self, connection)
            guard_connection(connection)
            if not self.options.plain:
                self.demands.adopt(connection)

    def _commit(self) -> None:
        session: Any = self.session
        ledger = self._ledger
        try:
            self._check_usable()
            ledger.guarded = False
            if not ledger.connections:
                ledger.asked = self.place  # the flush may take the first one
            session.safesession_commit(ledger)
        except BaseException as error:
            if self.state is not OPEN and isinstance(error, errors.UnexpectedRollbackError):
                self._give_up(None)  # a listener of the last flush has asked for it
                return
            meaning, cause = self._meaning(error), self._cause(error)
            self._roll_back(error)
            self._outcome = self._outcome_of(error)
            if meaning is not None:
                raise meaning from cause
            raise
        self._outcome = COMMITTED
        self.state = ENDED

    def _check_usable(self) -> None:
        if self._ledger.failure is not None:
            self._check_failure(self._ledger.failure)
        for connection in self._ledger.connections:
            if connection.closed:
                raise wording.ended_underneath(self)

    def _check_failure(self, failure: Failure) -> None:
        """Find what makes a COMMIT pointless before the flush that would fail with a lesser message."""
        for connection in self._ledger.connections:
            if not connection.invalidated and failed_on_server(connection):
                raise wording.would_answer_rollback(failure) from failure.error

    def _ended_underneath(self) -> bool:
        """Whether somebody ended the transaction on a connection itself."""
        return any(
            not (each.invalidated or each.closed or each.in_transaction())
            for each in self._ledger.connections
        )

    def _meaning(self, error: BaseException) -> Exception | None:
        """What an error of COMMIT means, where it does not say so itself; read before the rollback clears it away."""
        failure = self._ledger.failure
        if lost_in_commit(error):
            if not is_interruption(error):
                return wording.outcome_unknown(self, error, seconds_waited(error))
            add_note(error, wording.commit_interrupted(self))
            return None
        if isinstance(error, PendingRollbackError):
            lost = any(each.invalidated for each in self._ledger.connections)
            return (wording.connection_lost if lost else wording.session_inactive)(failure)
        if transaction_aborted(error):
            return wording.would_answer_rollback(None if self._cause(error) is error else failure)
        if isinstance(error, InvalidRequestError) and self._ended_underneath():
            return wording.ended_underneath(self)
        return None

    def _cause(self, error: BaseException) -> BaseException:
        """The failure that made a COMMIT fail with *error*, which SQLAlchemy or PostgreSQL report in its place."""
        failure = self._ledger.failure
        follows = isinstance(error, PendingRollbackError) or transaction_aborted(error)
        return failure.error if follows and failure and failure.error else error

    def _outcome_of(self, error: BaseException) -> Outcome:
        """How a COMMIT ended that raised."""
        if self._ledger.stored:
            return Outcome.COMMITTED
        doubtful = lost_in_commit(error) or isinstance(error, errors.PartialCommitError)
        return Outcome.UNKNOWN if doubtful else Outcome.ROLLED_BACK

    def _roll_back(self, error: BaseException | None) -> None:
        self.state = ENDED
        self._outcome = Outcome.ROLLED_BACK
        self.undo_demands()
        self._ledger.guarded = False
        try:
            self.session.rollback()
        except BaseException as failure:
            self._discard()
            if error is None:
                raise
            if not self._ledger.stored:
                add_note(error, f"The rollback of {self} failed too: {_described(failure)}")

    def _discard(self) -> None:
        with contextlib.suppress(Exception):
            self.session.invalidate()

    def _after(self, error: BaseException | None) -> None:
        if self._demands is not None:
            self._demands.undo()  # again: a connection that was lent is still open, and saw no COMMIT
        self._ledger.owner = None
        if self.refusing:
            self.accept_statements()
        self._step_out()
        try:
            if self._ledger.hooks is not None:
                self._run_hooks(error)
        finally:
            self.poison_error = None

    def _run_hooks(self, error: BaseException | None) -> None:
        try:
            self._ledger.run_hooks(self._outcome or Outcome.ROLLED_BACK, self.home.scope)
        except Exception as failure:
            if error is None:
                raise
            add_note(error, f"A hook failed after the rollback: {_described(failure)}")

    def _step_out(self) -> None:
        self.home.scope = self.outer


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


class NewScope(OwnedScope):
    """A transaction with a session and a connection of its own, while the outer one is suspended."""

    __slots__ = ("_before",)

    def __init__(self, home: Home, options: ScopeOptions, place: Place) -> None:
        self._before = suspend(home, home.scope, options)
        try:
            # The engine that it will use, if that can be told; the others are asked about when they are used.
            with contextlib.suppress(SQLAlchemyError):
                home.session().get_bind()
            super().__init__(home, options, place)
        except BaseException:
            resume(home, self._before)
            raise

    def _step_out(self) -> None:
        # Closing the session would drop them.
        hooks, self._ledger.hooks = self._ledger.hooks, None
        super()._step_out()
        resume(self.home, self._before)
        self._ledger.hooks = hooks


def suspend(home: Home, scope: Scope | None, options: ScopeOptions) -> Session:
    """Put a new session in the place of the current one, which waits until the new one is done.

    The new one raises :class:`PoolStarvationError` or :class:`SelfDeadlockError` before it waits for the other.
    """
    admit(home.session())
    before = home.swap(None)
    home.suspended.append(before)
    held = [ledger_of(each) for each in home.suspended]

    def vet(engine: Engine) -> None:
        check_second_connection(engine, held, scope, read_only=options.read_only)

    vet_engines(home.session(), vet)
    return before


def resume(home: Home, before: Session, error: BaseException | None = None) -> None:
    """Close the current session and put the suspended one back in its place; what *error* cut off is not reported."""
    home.suspended.pop()
    ended = home.swap(before)
    home.dismiss(ended, error)
    refuse_statements(ended, wording.session_ended)
