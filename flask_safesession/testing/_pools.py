"""The pool that an engine has for the time of a test: it lends the one connection again and again."""

from __future__ import annotations

import os
import time
from typing import Any, cast

from sqlalchemy import Pool
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.pool.base import _ConnDialect, _ConnectionFairy, _ConnectionRecord

from ._lending import SharedConnection
from ._loans import LOAN, Loan, loan_of

__all__ = ["LendingPool"]


class LentConnection(_ConnectionFairy):
    """What SQLAlchemy has from the pool: its transactions are savepoints."""

    __slots__ = ()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        self._shared.begin(self._loan)
        cursor = self._make_cursor(*args, **kwargs)
        self._loan.give(cursor)
        return cursor

    def settings_cursor(self) -> Any:
        """A cursor for what changes no data, and so is nothing that a rollback takes along."""
        return self._make_cursor()

    def _make_cursor(self, *args: Any, **kwargs: Any) -> Any:
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        self._shared.commit(self._loan)

    def rollback(self) -> None:
        self._shared.rollback(self._loan)

    @property
    def _loan(self) -> Loan:
        loan: Loan = vars(self)[LOAN]
        return loan

    @property
    def _shared(self) -> SharedConnection:
        pool: Any = self._pool
        shared: SharedConnection = pool.shared
        return shared


class LendingPool(Pool):
    """A pool of one connection, which is out as often as somebody asks for one.

    Args:
        shared: The connection.
    """

    lent: type[LentConnection] = LentConnection

    def __init__(self, shared: SharedConnection) -> None:
        self.shared = shared
        self._real = shared.real_pool
        self._process = os.getpid()
        super().__init__(
            lambda: shared.raw,
            echo=self._real.echo,
            dialect=_NoDialect(self._real),
            _dispatch=self._real.dispatch,
        )

    def connect(self) -> PoolProxiedConnection:
        connection = cast(Any, super().connect())
        connection.__class__ = self.lent
        vars(connection)[LOAN] = loan_of(connection._connection_record)  # noqa: SLF001 - it is a pool of SQLAlchemy's
        return cast(PoolProxiedConnection, connection)

    def checkedout(self) -> int:
        """How many connections are out, as the code under test sees it."""
        return len(self.shared.lent)

    def status(self) -> str:
        return f"{type(self).__name__}: {self.checkedout()} loans of one connection"

    def wrote(self, connection: PoolProxiedConnection) -> bool:
        """Whether the transaction on *connection* has written."""
        loan = loan_of(connection)
        return loan is not None and loan.is_open and loan.must_be_undone

    def recreate(self) -> Pool:
        """The same pool, which lasts as long as the test; a forked child has a real one."""
        return self if os.getpid() == self._process else self._real.recreate()

    def dispose(self) -> None:
        """The connection is the test's."""

    def _do_get(self) -> _ConnectionRecord:
        record = _ConnectionRecord(self, connect=False)
        record.dbapi_connection = self.shared.raw
        record.starttime = time.time()
        vars(record)[LOAN] = self.shared.lend()
        return record

    def _do_return_conn(self, record: Any) -> None:
        self.shared.take_back(vars(record)[LOAN])

    def _close_connection(self, connection: object, *, terminate: bool = False) -> None:
        """The connection is the test's."""


class _NoDialect(_ConnDialect):
    """Does nothing when a connection comes back: the transaction on it ends by another way."""

    def __init__(self, real: Any) -> None:
        self._dialect = real._dialect  # noqa: SLF001 - as above

    def do_rollback(self, dbapi_connection: Any) -> None:
        if not isinstance(dbapi_connection, LentConnection):
            # The collector has found it, perhaps in the middle of a statement.
            pool = dbapi_connection._pool  # noqa: SLF001 - as above
            pool.shared.forget(loan_of(dbapi_connection._connection_record))  # noqa: SLF001 - as above

    def get_driver_connection(self, connection: Any) -> Any:
        return self._dialect.get_driver_connection(connection)
