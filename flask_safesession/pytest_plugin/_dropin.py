"""``db_session`` and ``db_engine``, which stand in for those of pytest-flask-sqlalchemy where that is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    from sqlalchemy.exc import UnboundExecutionError

    try:
        return db_session.get_bind().engine
    except UnboundExecutionError:
        raise pytest.fail.Exception(
            "'db_engine' is the one engine of the app's session, which has engines for its models and none beside "
            "them. Use those by their own names, and give the test 'db_session': they take part in it.",
            pytrace=False,
        ) from None


def _stand_in(config: pytest.Config, monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """Put the session and engine of the test where the ini keys of pytest-flask-sqlalchemy say."""
    stand_ins: dict[str, Callable[[Any], Any]] = {
        "engines": lambda _: session.get_bind().engine,
        "sessions": lambda stock: _session_for(stock, session),
        "sessionmakers": lambda _: lambda **_: session,
    }
    for kind, make in stand_ins.items():
        for path in config.getini(f"mocked-{kind}"):
            monkeypatch.setattr(path, make(_stock(kind, path)))


def _stock(kind: str, path: str) -> Any:
    """What is at *path*."""
    import pkgutil

    try:
        return pkgutil.resolve_name(path)
    except (AttributeError, ImportError, ValueError) as error:
        raise pytest.fail.Exception(
            f"The setting 'mocked-{kind}' names '{path}', which is not there: {error}. Correct or remove it; as a rule "
            "none of these settings is needed.",
            pytrace=False,
        ) from None


def _session_for(stock: Any, session: Session) -> Any:
    """What stands for *stock*: itself, if it leads to *session* anyway, as 'db.session' does."""
    from sqlalchemy.orm import scoped_session

    if not isinstance(stock, scoped_session):
        return session
    factory: Any = lambda: session  # noqa: E731 - what a scoped_session calls, and needs no more of
    return stock if stock() is session else scoped_session(factory)
