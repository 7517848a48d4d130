"""One connection for a whole test: each transaction of the code under test is a savepoint on it.

The transactions lie on a stack, as savepoints do. Threads take turns: who wants to begin or to send waits until what
another thread has put on top is gone. The test's own thread is the exception that lets a test wait for its jobs: its
open transactions make room for others above them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import PoolProxiedConnection

from .. import errors
from .._core.commit import commits_by_itself, in_error
from .._core.holding import take_unwatched
from .._core.places import outside
from ._databases import Database, Writers, database_of
from ._loans import Loan
from ._loss import Loss

__all__ = ["PATIENCE", "SharedConnection"]

PATIENCE = 5.0
"""Seconds for which a thread waits for its turn."""


class SharedConnection:
    """The connection that a test has of one engine, and the transactions that are open on it.

    Args:
        engine: The engine, whose pool gives the connection when it is first needed.
        patience: Seconds for which a thread waits for its turn.
        writers: The connections of the test that have written.
    """

    def __init__(
        self, engine: Engine, patience: float = PATIENCE, writers: Writers | None = None
    ) -> None:
        self.engine = engine
        self.real_pool = engine.pool
        self.database: Database = database_of(engine, writers)
        self._patience = patience
        self._home = threading.get_ident()
        self._turn = threading.Condition()
        self._fairy: PoolProxiedConnection | None = None
        self._stack: list[Loan] = []
        self._collected: list[Loan] = []
        self._is_closed = False
        self._is_entangled = False
        self.loss = Loss(engine)
        self._numbers = 0
        self.lent: list[Loan] = []
        self.remarks: list[str] = []

    @property
    def raw(self) -> Any:
        """The driver's connection."""
        with self._turn:
            self.database.check_thread(self._home)
            if self._fairy is None and not self._is_closed:
                self._open()
            return self._lent.dbapi_connection

    def owns(self, raw: object) -> bool:
        """Whether *raw* is the driver's connection, and in use."""
        return self._fairy is not None and self._fairy.dbapi_connection is raw

    def lend(self) -> Loan:
        """One more connection, as the code under test sees it."""
        with self._turn:
            self._numbers += 1
            loan = Loan(self._numbers, outside().place)
            self.lent.append(loan)
            return loan

    def take_back(self, loan: Loan) -> None:
        """The code under test is done with *loan*."""
        self.lent.remove(loan)
        if loan not in self._collected:
            self.rollback(loan)

    def begin(self, loan: Loan) -> None:
        """Open a transaction on *loan*, unless there is one."""
        if loan.is_open:
            return
        with self._turn:
            self._bury()
            self._wait(lambda: self._may_begin(loan), loan)
            loan.reset()
            self._rescue()
            self._send(f"SAVEPOINT {loan.savepoint}")
            self._stack.append(loan)
            loan.is_open = True

    @contextlib.contextmanager
    def sending(self, loan: Loan) -> Iterator[None]:
        """Send a statement on *loan* when it is its turn."""
        with self._turn:
            self._wait(lambda: self._is_mine_above(loan), loan)
            yield

    def note_write(self, loan: Loan) -> None:
        """*loan* sends what changes data; a transaction above it would take that along if it rolled back."""
        loan.wrote = True
        for above in self._above(loan):
            above.is_mixed = True

    def commit(self, loan: Loan) -> None:
        """Keep what *loan* has done, as far as the test lasts."""
        if not loan.is_open:
            return
        with self._turn:
            self._bury()
            if self._above(loan):
                loan.keep()
                self._leave(loan)
                return
            self.database.check_deferred(self.raw)
            self._send(*loan.undo, f"RELEASE SAVEPOINT {loan.savepoint}")
            loan.keep()
            self._pop()

    def rollback(self, loan: Loan) -> None:
        """Undo what *loan* has done."""
        if not loan.is_open:
            return
        if loan.commits_by_itself:
            self.commit(loan)
            return
        with self._turn, self._unless_lost():
            self._bury()
            self._wait(lambda: self._may_roll_back(loan), loan)
            if self._above(loan) and not loan.must_be_undone:
                self._leave(loan)
            else:
                self._roll_back(loan)

    def forget(self, loan: Loan) -> None:
        """*loan* was collected, at a moment when nothing can be sent."""
        self._collected.append(loan)

    def close(self) -> None:
        """Undo everything, and give the connection back to the pool of the engine."""
        with self._turn:
            for loan in self._stack:
                loan.is_open = False
            self._stack.clear()
            self._is_closed = True
            fairy, self._fairy = self._fairy, None
            if fairy is not None and fairy.dbapi_connection is not None:
                self._give_back(fairy)

    @contextlib.contextmanager
    def _unless_lost(self) -> Iterator[None]:
        """Undo; there is nothing to be undone on a connection that broke, and who met its error has that."""
        try:
            yield
        except errors.IsolationUnavailableError:
            if not self.loss.is_known:
                raise
            for loan in self._stack:
                loan.is_open = False
            self._stack.clear()

    def _open(self) -> None:
        fairy = take_unwatched(self.real_pool)
        if commits_by_itself(self.engine.dialect, fairy):
            fairy.close()
            raise errors.IsolationUnavailableError(
                f"The engine of '{self.engine.url}' is in AUTOCOMMIT: what a test writes there cannot be rolled back. "
                "Give the test real transactions with '@pytest.mark.safesession(isolation=\"commit\")'."
            )
        self._fairy = fairy
        self.database.open(fairy.dbapi_connection)

    def _give_back(self, fairy: PoolProxiedConnection) -> None:
        try:
            with self.loss.told(fairy):
                self.database.close(fairy.dbapi_connection)
        except errors.IsolationUnavailableError:
            fairy.invalidate()
            raise
        fairy.close()

    @property
    def _lent(self) -> PoolProxiedConnection:
        if self._fairy is None:
            raise errors.IsolationUnavailableError(
                f"{outside().place} used a connection to '{self.engine.url}' that belongs to a test which is over. "
                "Wait in the test for the threads and jobs that it starts."
            )
        return self._fairy

    def _above(self, loan: Loan) -> list[Loan]:
        return self._stack[self._stack.index(loan) + 1 :]

    def _leave(self, loan: Loan) -> None:
        """Let its savepoint go when those above it are gone."""
        loan.is_open, loan.is_over = False, True
        self._turn.notify_all()

    def _pop(self) -> None:
        self._drop()
        while self._stack and self._stack[-1].is_over:
            self._send(f"RELEASE SAVEPOINT {self._drop().savepoint}")
        if self._stack and self._stack[-1].is_aborted:
            self._abort(self._stack[-1])
        self._turn.notify_all()

    def _drop(self) -> Loan:
        gone = self._stack.pop()
        gone.is_open = False
        if self._stack:
            self._stack[-1].inherit(gone)
        return gone

    def _abort(self, loan: Loan) -> None:
        """Bring *loan* back into the state in which the other one found it."""
        loan.is_aborted = False
        loan.refuge = f"{loan.savepoint}_refuge"
        self._send(f"SAVEPOINT {loan.refuge}")
        self.database.abort(self.raw)

    def _rescue(self) -> None:
        """Let a transaction begin on top of one that PostgreSQL has given up, and that goes back no further."""
        if self._stack and self._is_in_error():
            self._stack[-1].is_aborted = True
            self._send(f"ROLLBACK TO SAVEPOINT {self._stack[-1].innermost}")

    def _roll_back(self, loan: Loan) -> None:
        above = self._above(loan)
        if self._is_entangled:
            self._leave(loan)  # somebody has been told
            return
        if loan.is_mixed or any(each.must_be_undone for each in above):
            self._is_entangled = True
            self._leave(loan)
            raise self._entangled(loan)
        if loan.must_be_undone:
            self._remark(loan)
            self._send(f"ROLLBACK TO SAVEPOINT {loan.savepoint}")
            loan.lose()
        elif not loan.keeps or self._is_in_error():
            # A function that a SELECT has called may have written.
            self._send(f"ROLLBACK TO SAVEPOINT {loan.refuge or loan.savepoint}")
        if above:
            # What has only read begins again.
            self._send(*(f"SAVEPOINT {each.savepoint}" for each in above))
            self._leave(loan)
            return
        self._send(*loan.undo, f"RELEASE SAVEPOINT {loan.savepoint}")
        self._pop()

    def _remark(self, loan: Loan) -> None:
        if loan.took is not None:
            self.remarks.append(
                f"The transaction of {loan.took} had committed when that of {loan.place}, which was open around it, "
                "was rolled back, and took it along: both are on the one connection that this test has. In production "
                "it is stored. Give the test real transactions with '@pytest.mark.safesession(isolation=\"commit\")'."
            )

    def _may_begin(self, loan: Loan) -> bool:
        me = threading.get_ident()
        top = self._stack[-1] if self._stack else None
        return top is None or top.thread in (me, self._home) or not _lives(top.thread)

    def _is_mine_above(self, loan: Loan) -> bool:
        me = threading.get_ident()
        return all(
            each.thread == me or each.is_over or not _lives(each.thread)
            for each in self._above(loan)
        )

    def _may_roll_back(self, loan: Loan) -> bool:
        return not loan.must_be_undone or self._is_mine_above(loan)

    def _is_in_error(self) -> bool:
        return in_error(self.engine.dialect, self._lent)

    def _await(self, may_go: Callable[[], bool]) -> bool:
        return self._turn.wait_for(may_go, self._patience)

    def _wait(self, may_go: Callable[[], bool], loan: Loan) -> None:
        if may_go() or self._await(may_go):
            return
        holder = self._stack[-1].place
        raise errors.IsolationUnavailableError(
            f"{outside().place} waited {self._patience:g} s for its turn on the one connection that this test has, "
            f"which {holder} holds in another thread or task. Give the test real transactions with "
            "'@pytest.mark.safesession(isolation=\"commit\")'."
        )

    def _entangled(self, loan: Loan) -> errors.IsolationUnavailableError:
        return errors.IsolationUnavailableError(
            f"The transaction of {loan.place} was rolled back while another one had written in between, and both are "
            "on the one connection that this test has. Give the test real transactions with "
            "'@pytest.mark.safesession(isolation=\"commit\")'."
        )

    def _bury(self) -> None:
        while self._collected:
            loan = self._collected.pop()
            if loan.is_open:
                self.rollback(loan)

    def _send(self, *statements: str) -> None:
        fairy = self._lent
        raw: Any = fairy.dbapi_connection
        with self.loss.told(fairy), contextlib.closing(raw.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)


def _lives(thread: int) -> bool:
    return any(each.ident == thread for each in threading.enumerate())
