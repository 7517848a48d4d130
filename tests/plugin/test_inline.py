"""Jobs that run in the thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from flask_safesession import AppContextManager, errors, session_manager
from flask_safesession.testing import RollbackIsolation, inline_jobs
from tests.kit import Kit


@pytest.fixture(autouse=True)
def inline() -> Iterator[None]:
    """They do in each of these tests."""
    with inline_jobs():
        yield


def test_a_job_runs_when_it_is_submitted(kit: Kit) -> None:
    """In this thread, with a session of its own, and it may submit others."""

    def job(name: str) -> int:
        with session_manager() as session:
            assert session is not outer
            session.add(kit.Item(name=name))
        if name == "a":
            executor.submit(job, "b").result()
        return threading.get_ident()

    with RollbackIsolation(kit.app), kit.app.app_context(), session_manager() as outer:
        with AppContextManager(kit.app).executor(1) as executor:
            future = executor.submit(job, "a")
            assert (future.done(), future.result()) == (True, threading.get_ident())
            assert outer.scalars(select(kit.Item.name).order_by("name")).all() == ["a", "b"]
            assert list(executor.map(job, ["c", "d"])) == [threading.get_ident()] * 2


def test_an_error_is_in_the_future(sqlite_kit: Kit) -> None:
    """As with a thread."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future = executor.submit(int, "x")
    assert isinstance(future.exception(), ValueError)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(int, "1")


def test_arguments_are_checked(sqlite_kit: Kit) -> None:
    """An instance is refused, as it would be in production."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        with pytest.raises(errors.DetachedArgumentError):
            executor.submit(print, sqlite_kit.Item(name="a"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_runs_when_it_is_started(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be joined, and its error goes to the hook of threads."""
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
    manager = AppContextManager(sqlite_kit.app)
    for target, argument in ((seen.append, "ran"), (int, "x")):
        thread = manager.thread(target, args=(argument,))
        thread.start()
        thread.join(timeout=1)
        assert not thread.is_alive()
    assert seen == ["ran", ValueError]
