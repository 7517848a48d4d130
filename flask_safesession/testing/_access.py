"""No database for a test that has not asked for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NoReturn

from flask import Flask
from sqlalchemy import Engine, Pool

from .. import errors
from .._core.places import outside
from ._engines import each_engine

__all__ = ["refused"]


class RefusingPool(Pool):
    """Gives no connection.

    Args:
        real: The pool whose place it takes.
    """

    def __init__(self, real: Pool) -> None:
        self._real = real
        super().__init__(self.connect)

    def connect(self) -> NoReturn:
        raise errors.IsolationUnavailableError(
            f"{outside().place} used the database in a test that has not asked for it ('safesession_db_access = "
            "explicit'). Give the test the fixture 'db_session' or 'transactional_db', or the mark "
            "'@pytest.mark.safesession(isolation=\"rollback\")'."
        )

    def recreate(self) -> Pool:
        return self

    def dispose(self) -> None:
        """Close the connections of the real one."""
        self._real.dispose()

    def status(self) -> str:
        return "no connection for this test"


def refused(app: Flask) -> AbstractContextManager[None]:
    """Let *app* reach no database inside the ``with`` block."""
    return each_engine(app, _refuse)


def _refuse(engine: Engine) -> Callable[[], None]:
    real = engine.pool
    engine.pool = RefusingPool(real)

    def end() -> None:
        engine.pool = real

    return end
