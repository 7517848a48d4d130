"""What is left out while nothing goes wrong is there from the first moment at which it matters."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flask_safesession import session_manager

from .kit import Kit


class ForeignError(Exception):
    """An error that is not the driver's."""


def _fail(error: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


def _fail_once(dialect: Any, name: str) -> Any:
    original = getattr(dialect, name)
    errors = [dialect.loaded_dbapi.OperationalError("disk I/O error")]

    def fail(*args: Any) -> None:
        if errors:
            raise errors.pop()
        original(*args)

    return fail


def test_statements_keep_the_fast_path_until_one_fails(kit: Kit) -> None:
    """SQLAlchemy asks a dialect's listeners before each statement, and no longer skips that when there is one."""
    dialect: Any = kit.engine.dialect
    with kit.app.app_context():
        with session_manager() as session:
            session.add(kit.Item(name="a"))
        assert not dialect._has_events
        with pytest.raises(DBAPIError), session_manager() as session:
            session.execute(text("SELECT * FROM nowhere"))
        assert dialect._has_events


def test_a_connection_that_cannot_roll_back_is_dropped_whatever_broke_its_commit(
    sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the driver's own errors are shown to ``is_disconnect``; a tracing tool may raise another one in COMMIT."""
    dialect: Any = sqlite_kit.engine.dialect
    with sqlite_kit.app.app_context():
        with session_manager() as session:
            broken = session.connection().connection.dbapi_connection
        with monkeypatch.context() as patch:
            patch.setitem(vars(dialect), "_safesession_do_commit", _fail(ForeignError()))
            patch.setattr(dialect, "do_rollback", _fail_once(dialect, "do_rollback"))
            with pytest.raises(ForeignError), session_manager() as session:
                session.add(sqlite_kit.Item(name="lost"))
        with session_manager() as session:
            assert session.connection().connection.dbapi_connection is not broken
    assert sqlite_kit.names() == []


def test_a_tool_may_replace_do_execute(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is called past SQLAlchemy's own method only where nobody has put another one in its place."""
    sent: list[str] = []
    dialect: Any = sqlite_kit.engine.dialect
    previous = dialect.do_execute

    def do_execute(cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement.split(maxsplit=1)[0])
        previous(cursor, statement, *rest)

    monkeypatch.setitem(vars(dialect), "do_execute", do_execute)
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
    assert sent == ["INSERT"]
