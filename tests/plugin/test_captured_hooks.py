"""Hooks that a test looks at."""

from __future__ import annotations

import pytest

from flask_safesession import AppContextManager, on_commit, on_rollback, session_manager
from flask_safesession.testing import captured_commit_hooks
from tests.kit import Kit


def test_hooks_are_listed_and_held_back(sqlite_kit: Kit) -> None:
    """They do not run until the test runs them."""
    ran: list[int] = []
    with sqlite_kit.app.app_context(), captured_commit_hooks(sqlite_kit.app) as hooks:
        with session_manager():
            on_commit(ran.append, 1)
            on_commit(ran.extend, [2])
    assert (list(hooks), hooks[0], hooks.never_run, ran) == (
        ["list.append", "list.extend"],
        "list.append",
        ["list.append", "list.extend"],
        [],
    )
    hooks.run()
    assert (len(hooks), hooks.never_run, ran) == (2, [], [1, 2])


def test_hooks_are_listed_and_run(sqlite_kit: Kit) -> None:
    """With ``run=True`` they run when they would in production."""
    ran: list[int] = []
    with sqlite_kit.app.app_context(), captured_commit_hooks(sqlite_kit.app, run=True) as hooks:
        with session_manager():
            on_commit(ran.append, 1)
        assert ran == [1]
    assert (repr(hooks), hooks.never_run) == ("['list.append']", [])


def test_hooks_of_a_rollback_run(sqlite_kit: Kit) -> None:
    """What waits for a commit is dropped, and what waits for the rollback is none of these."""
    ran: list[int] = []
    with sqlite_kit.app.app_context(), captured_commit_hooks(sqlite_kit.app) as hooks:
        with pytest.raises(ZeroDivisionError), session_manager():
            on_commit(ran.append, 1)
            on_rollback(ran.append, 2)
            raise ZeroDivisionError
    assert (list(hooks), ran) == ([], [2])


def test_hooks_of_jobs(sqlite_kit: Kit) -> None:
    """Those of other threads and contexts are captured as well."""

    def job() -> None:
        with session_manager():
            on_commit(print, "never printed")

    with captured_commit_hooks(sqlite_kit.app) as hooks:
        with AppContextManager(sqlite_kit.app).executor(1) as executor:
            executor.submit(job).result()
    assert hooks == ["print"]
