"""``db_session`` and ``db_engine``, which stand in for those of pytest-flask-sqlalchemy where that is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ._fixtures import session_of

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

__all__ = ["db_engine", "db_session"]


@pytest.fixture
def db_session(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """The session of the app; whatever the test and the code under test store is rolled back after the test."""
    for session in session_of(request, "rollback"):
        _stand_in(request.config, monkeypatch, session)
        yield session


@pytest.fixture
def db_engine(db_session: Session) -> Engine:
    """The engine of that session; what is stored through it is rolled back as well."""
    return db_session.get_bind().engine


def _stand_in(config: pytest.Config, monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """Put the session and engine of the test where the ini keys of pytest-flask-sqlalchemy say."""
    stand_ins: dict[str, Any] = {
        "engines": lambda: session.get_bind().engine,
        "sessions": lambda: session,
        "sessionmakers": lambda: lambda **_: session,
    }
    for kind, make in stand_ins.items():
        for path in config.getini(f"mocked-{kind}"):
            monkeypatch.setattr(path, make())
