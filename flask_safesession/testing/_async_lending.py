"""One connection for a whole test, lent to the coroutines of the code under test, whatever event loops they run on.

A connection belongs to the loop that has opened it, and the code under test may have a loop for each request. So it
is opened on a loop of the test's own, and what is to be done with it is done there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Engine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only

from .._core.commit import refuses_statements
from .._core.runners import has_ended, spawned
from ._databases import Database, Writers
from ._lending import PATIENCE, SharedConnection
from ._loans import BEGUN, Loan
from ._loop import LoopCursor, OnLoop, TestLoop
from ._pools import LendingPool, LentConnection

__all__ = ["AsyncLendingPool", "AsyncSharedConnection"]

_PAUSE = 0.005  # seconds
_SENDING = ("open", "close", "check_deferred", "abort", "setting")  # what talks to the database


class AsyncSharedConnection(SharedConnection):
    """The connection that a test has of one async engine.

    Tasks take turns, as threads do; what a task has begun makes room for the tasks that it starts then.
    """

    def __init__(
        self, engine: Engine, patience: float = PATIENCE, writers: Writers | None = None
    ) -> None:
        super().__init__(engine, patience, writers)
        self.loop = TestLoop()
        self.database = cast(Database, OnLoop(self.database, self.loop, _SENDING))

    def begin(self, loan: Loan) -> None:
        super().begin(loan)
        open_here = (each for each in BEGUN.get() if each.is_open and each is not loan)
        BEGUN.set((*open_here, loan))

    @contextmanager
    def sending(self, loan: Loan) -> Iterator[None]:
        """Send a statement when it is its turn; others may go on while it is waited for."""
        with super().sending(loan):
            pass
        yield

    def forget(self, loan: Loan) -> None:
        super().forget(loan)
        self.remarks.append(
            f"Nobody gave back the connection that {loan.place} took; the garbage collector found it. In production "
            "SQLAlchemy drops such a connection. Close the session in the coroutine that opened it, as 'async with' "
            "does."
        )

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.loop.stop()

    def _open(self) -> None:
        self.loop.run(super()._open)

    def _give_back(self, fairy: PoolProxiedConnection) -> None:
        try:
            with self.loss.told(fairy):
                self.database.close(fairy.dbapi_connection)
        finally:
            self.loop.run(fairy.invalidate)  # its loop ends

    def _send(self, *statements: str) -> None:
        _ = self._lent  # says it where the test is over
        self.loop.run(super()._send, *statements)

    def _is_in_error(self) -> bool:
        dialect = self.engine.dialect
        if dialect.driver != "asyncpg":
            return super()._is_in_error()
        return self.loop.run(refuses_statements, dialect, self._lent)

    def _may_begin(self, loan: Loan) -> bool:
        return not self._stack or _makes_room(self._stack[-1])

    def _is_mine_above(self, loan: Loan) -> bool:
        return all(each.is_over or _makes_room(each) for each in self._above(loan))

    def _await(self, may_go: Callable[[], bool]) -> bool:
        """As ever, but let the event loop go on."""
        if spawned() is None:
            return super()._await(may_go)
        until = time.monotonic() + self._patience
        while not may_go() and time.monotonic() < until:
            self._turn.release()
            try:
                await_only(asyncio.sleep(_PAUSE))
            finally:
                self._turn.acquire()
        return may_go()


def _makes_room(loan: Loan) -> bool:
    return loan in BEGUN.get() or has_ended(loan.runner)


class AsyncLentConnection(LentConnection):
    """What SQLAlchemy has from the pool, in a coroutine."""

    __slots__ = ()

    def _make_cursor(self, *args: Any, **kwargs: Any) -> Any:
        loop = cast(AsyncSharedConnection, self._shared).loop
        cursor = loop.run(super()._make_cursor, *args, **kwargs)
        return LoopCursor(cursor, loop, streams=bool(args or kwargs))  # SQLAlchemy gives none else


class AsyncLendingPool(LendingPool):
    """A pool of one connection, for coroutines."""

    lent = AsyncLentConnection
