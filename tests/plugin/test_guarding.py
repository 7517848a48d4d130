"""What stands between a test and its database, without a runner."""

from __future__ import annotations

import pytest

from flask_safesession import errors
from flask_safesession.testing import RollbackIsolation
from flask_safesession.testing._access import refused
from flask_safesession.testing._guarding import TestGuard
from tests.kit import Kit


def test_a_context_that_is_pushed_already(sqlite_kit: Kit) -> None:
    """The session is that of the context, as with pytest-flask."""
    with sqlite_kit.app.app_context(), TestGuard(sqlite_kit.app, isolation="rollback") as guard:
        with guard.session("rollback") as session:
            assert session is sqlite_kit.db.session()


def test_an_isolation_that_cannot_begin(sqlite_kit: Kit) -> None:
    """Nothing is left of it."""
    with RollbackIsolation(sqlite_kit.app):
        with pytest.raises(errors.IsolationUnavailableError, match="isolated already"):
            TestGuard(sqlite_kit.app, isolation="rollback").__enter__()


def test_a_refused_database(sqlite_kit: Kit) -> None:
    """It gives no connection, also after the engine was disposed of, and then it does again."""
    with refused(sqlite_kit.app):
        sqlite_kit.engine.dispose()
        assert sqlite_kit.engine.pool.status() == "no connection for this test"
        with pytest.raises(errors.IsolationUnavailableError, match="has not asked for it"):
            sqlite_kit.engine.connect()
    sqlite_kit.engine.connect().close()
