"""The fixtures. What they need of the package is imported when a test asks for them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ._marks import GUARD, wish_of

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

    from ..testing import CapturedHooks, Faults
    from ..testing._guarding import TestGuard

__all__ = [
    "assert_statements",
    "captured_commit_hooks",
    "faults",
    "inlined_jobs",
    "recorded_statements",
    "safesession_database_url",
    "safesession_guard",
    "session_of",
    "transactional_db",
]


@pytest.fixture(name=GUARD)
def safesession_guard(request: pytest.FixtureRequest) -> Iterator[TestGuard | None]:
    """Stands between a test and the database of its app, and looks after it; None if there is nothing to do."""
    try:
        wish = wish_of(request.node)
    except ValueError as error:  # of a mark that came after the collection
        pytest.fail(str(error), pytrace=False)
    app = _app(request) if wish.isolation else _app_in_sight(request)
    if app is None:
        yield None
        return
    from ..testing._guarding import TestGuard

    guard = TestGuard(
        app,
        isolation=wish.isolation,
        reset_sequences=wish.reset_sequences,
        is_explicit=request.config.getini("safesession_db_access") == "explicit",
        leaks=request.config.getini("safesession_leaks"),
    )
    with _entered(guard):
        yield guard


@pytest.fixture
def transactional_db(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The session of the app, with real commits; the tables that the test has written to are emptied after it."""
    yield from session_of(request, "commit")


@pytest.fixture(name="captured_commit_hooks")
def captured_commit_hooks(
    request: pytest.FixtureRequest,
) -> Callable[..., AbstractContextManager[CapturedHooks]]:
    """Lists the hooks of a ``with`` block whose transactions commit, and holds them back unless ``run=True``."""
    from ..testing import captured_commit_hooks

    return functools.partial(captured_commit_hooks, _app(request))


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Lets the database fail where the test orders it: ``faults.fail("commit", error="serialization_failure")``."""
    from ..testing import Faults

    app = _app(request)
    request.getfixturevalue(GUARD)  # its isolation comes first
    with Faults(app) as faults:
        yield faults


@pytest.fixture(name="inline_jobs")
def inlined_jobs() -> Iterator[None]:
    """Jobs of executors and threads run at once, in the thread of the test."""
    from ..testing import inline_jobs

    with inline_jobs():
        yield


@pytest.fixture(name="statements")
def recorded_statements(
    request: pytest.FixtureRequest,
) -> Callable[[], AbstractContextManager[list[str]]]:
    """What a ``with`` block sends to the database: ``with statements() as sent:``."""
    from ..testing import recorded_statements

    return functools.partial(recorded_statements, _app(request))


@pytest.fixture
def assert_statements(
    request: pytest.FixtureRequest,
) -> Callable[[int], AbstractContextManager[list[str]]]:
    """Fails a ``with`` block that sends another number of statements than it is given."""
    from ..testing import assert_statements

    return functools.partial(assert_statements, _app(request))


@pytest.fixture(scope="session")
def safesession_database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a database for this process alone: on the server of ``safesession_database``, or a SQLite file."""
    from sqlalchemy.exc import SQLAlchemyError

    from ..testing import worker_database

    given = os.environ.get("SAFESESSION_TEST_DATABASE") or request.config.getini(
        "safesession_database"
    )
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    try:
        template = request.config.getini("safesession_template") or None
        folder = tmp_path_factory.mktemp("safesession")
        with worker_database(given, worker, folder, template) as url:
            yield url
    except ValueError as error:
        pytest.fail(str(error), pytrace=False)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        pytest.fail(
            "No database for tests can be made where 'safesession_database' or SAFESESSION_TEST_DATABASE says: "
            f"{reason}",
            pytrace=False,
        )


def session_of(request: pytest.FixtureRequest, isolation: str) -> Iterator[Session]:
    """The session of the test's app, isolated as it is asked for."""
    guard: TestGuard | None = request.getfixturevalue(GUARD)
    if guard is None:
        # It was not in sight when the guard was set up.
        pytest.fail(
            f"'{request.fixturename}' was asked for while the test ran, and its app has no SafeSession, or the test "
            f"no fixture 'app'. Name '{request.fixturename}' among the arguments of the test.",
            pytrace=False,
        )
    with _entered(guard.session(isolation)) as session:
        yield session


@contextmanager
def _entered(manager: AbstractContextManager[Any]) -> Iterator[Any]:
    """*manager*, entered; what it says at its beginning and its end is one line, without a traceback."""
    with ExitStack() as stack:
        with _told():
            value = stack.enter_context(manager)
        yield value
        with _told():
            stack.close()


@contextmanager
def _told() -> Iterator[None]:
    from ..errors import SafeSessionError

    try:
        yield
    except SafeSessionError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _app(request: pytest.FixtureRequest) -> Flask:
    """The app of a test that asks for something."""
    app = _app_with_extension(request.getfixturevalue("app"))
    if app is None:
        pytest.fail(
            f"The fixture 'app' gives {request.getfixturevalue('app')!r}, which has no SafeSession. Call "
            "'SafeSession(app)' or 'safe.init_app(app)' where the app is made, and return the app.",
            pytrace=False,
        )
    return app


def _app_in_sight(request: pytest.FixtureRequest) -> Flask | None:
    """The app of a test that asks for nothing, if it has one with the extension."""
    if "app" not in request.fixturenames:
        return None
    return _app_with_extension(request.getfixturevalue("app"))


def _app_with_extension(app: Any) -> Flask | None:
    """*app*, unless it is something else, as the name is common."""
    extensions = getattr(app, "extensions", None)
    found: Flask | None = (
        app if isinstance(extensions, dict) and "safesession" in extensions else None
    )
    return found
