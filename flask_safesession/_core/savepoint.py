"""The scope that owns a savepoint: its failure leaves the outer scope usable."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import SessionTransaction

from . import wording
from .commit import failed_on_server
from .notes import add_note
from .options import ScopeOptions
from .outcome import Outcome
from .places import Place
from .scope import Anchor, Home, Owner, Scope, check_demands, enter_timeout, leave_timeout
from .states import ENDED, State

__all__ = ["SavepointScope"]


class SavepointScope(Anchor):
    """A SAVEPOINT inside another scope's transaction."""

    __slots__ = ("_around", "_rolled_back", "_savepoint", "_timeout")

    def __init__(self, home: Home, outer: Scope, options: ScopeOptions, place: Place) -> None:
        super().__init__(home, outer.session, options, place)
        self._around = outer
        self._rolled_back = False
        check_demands(outer.root, options)
        self._savepoint: SessionTransaction = self.session.begin_nested()
        try:
            self._timeout = enter_timeout(outer.root, options)
        except BaseException:
            self._savepoint.rollback()
            raise
        home.scope = self

    @property
    def root(self) -> Owner:
        return self._around.root

    @property
    def outcome(self) -> str | None:
        return Outcome.ROLLED_BACK.value if self._rolled_back else self.root.outcome

    def leave(self, error: BaseException | None) -> None:
        """Release the savepoint, or roll back to it.

        Raises:
            UnexpectedRollbackError: If the block ended well and the savepoint cannot be released.
        """
        self.check_order()
        self.home.scope = self.outer
        if self.refusing:
            self.accept_statements()
        try:
            self._end(error)
        except BaseException as failure:
            self._restore_timeout(failure)
            raise
        finally:
            self.poison_error = None
            self.state = ENDED
        self._restore_timeout(error)

    def _restore_timeout(self, error: BaseException | None) -> None:
        if self.options.timeout is not None:
            leave_timeout(self.root, self._timeout, error)

    def _end(self, error: BaseException | None) -> None:
        if error is not None or self.state is State.ROLLBACK_ONLY:
            self._roll_back(error)
            if error is None and not self.quiet:
                raise self.unexpected()
            return
        try:
            self._check_usable()
            self._release()
        except BaseException as failure:
            self._roll_back(failure)
            raise

    def _release(self) -> None:
        """Where RELEASE itself fails, SQLAlchemy sends no ROLLBACK TO: nobody knows what is left."""
        try:
            self._savepoint.commit()
        except DBAPIError as failure:
            if (failure.statement or "").startswith("RELEASE"):
                self._around.anchor.poison(self, failure)
            raise

    def _check_usable(self) -> None:
        failure = self.ledger.failure
        cause = failure.error if failure else None
        if not self._is_open():
            raise wording.ended_underneath(self)
        if not self._savepoint.is_active:
            raise wording.session_inactive(failure) from cause
        if any(failed_on_server(each) for each in self.ledger.connections if not each.invalidated):
            raise wording.would_answer_rollback(failure) from cause

    def _is_open(self) -> bool:
        transaction = self.session.get_nested_transaction()
        while transaction is not None and transaction is not self._savepoint:
            transaction = transaction.parent
        return transaction is self._savepoint

    def _roll_back(self, error: BaseException | None) -> None:
        """Roll back to the savepoint; where that fails, the outer transaction is lost too."""
        self._rolled_back = True
        if not self._is_open():
            return
        try:
            self._savepoint.rollback()
        except BaseException as failure:
            self._around.anchor.poison(self, error or failure)
            if error is None:
                raise
            add_note(error, f"The rollback to the savepoint of {self} failed too: {failure}")
