"""The one connection of a test that is rolled back may break, and then the test has none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine

from .. import errors

__all__ = ["Loss"]


class Loss:
    """Whether the connection of *engine* is lost.

    Args:
        engine: The engine.

    Attributes:
        is_known: Somebody has found out.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_known = False

    @contextlib.contextmanager
    def told(self, connection: Any) -> Iterator[None]:
        """Say in one line that *connection* broke.

        Raises:
            IsolationUnavailableError: In the place of the driver's error.
        """
        dialect = self._engine.dialect
        try:
            yield
        except dialect.loaded_dbapi.Error as error:
            self.is_known = self.is_known or dialect.is_disconnect(error, connection, None)
            if not self.is_known:
                raise
        if self.is_known:  # asyncpg's adapter rolls back what is gone without a word
            raise errors.IsolationUnavailableError(
                f"The connection of the test to '{self._engine.url}' was lost before the test was over, and it has no "
                "other: the server has rolled back what it had stored. Give the test real transactions with "
                "'@pytest.mark.safesession(isolation=\"commit\")', or let a call fail with "
                '\'faults.fail("execute", error="connection_lost")\'.'
            )
