"""Errors that a test orders, where coroutines meet them: those of the async driver in use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flask_safesession import classify, current_scope, errors, on_commit, session_manager
from flask_safesession._core.faults.table import CATEGORIES
from flask_safesession.testing import CommitIsolation, Faults, RollbackIsolation
from flask_safesession.testing._driver_errors import check_error

from ..conftest import Wanted
from ..kit import Kit, MakeKit
from .sessions import inner_engine, run
from .test_rolled_back import add, names
from .test_sources import ASYNC_URLS, async_url

Isolation = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(params=ASYNC_URLS, ids=lambda each: each[1])
def kit(request: pytest.FixtureRequest, make_kit: MakeKit, wanted: Wanted) -> Kit:
    """An app on each database through each async driver."""
    name, driver = request.param
    url = async_url(wanted.get(name), driver)
    return make_kit(name, config={"SAFESESSION_ASYNC_ENGINES": {None: url}})


@pytest.fixture(params=[RollbackIsolation, CommitIsolation], ids=["rollback", "commit"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    """Each of the isolations that a test may have."""
    found: Isolation = request.param
    return found


def test_each_error_means_what_it_was_ordered_as(kit: Kit) -> None:
    """``classify()`` reads the category back from what a statement raises."""

    async def main(name: str, faults: Faults) -> str:
        faults.fail("connect" if name == "connection_refused" else "execute", error=name)
        try:
            async with session_manager() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:  # noqa: BLE001 - asyncpg lets Python's own through
            return classify(error).category
        return "none"

    known = [each.name for each in CATEGORIES if _is_known(kit, each.name)]
    found = {}
    for name in known:
        with RollbackIsolation(kit.app), Faults(kit.app) as faults:
            found[name] = run(kit, main, name, faults)
    stand_ins = {"deadlock": "lock_timeout"}
    renamed = stand_ins if kit.database.dialect == "sqlite" else {}
    assert found == {name: renamed.get(name, name) for name in known}
    assert len(known) >= 12


def _is_known(kit: Kit, name: str) -> bool:
    try:
        check_error(inner_engine(kit), name)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("call", ["commit", "flush", "execute"])
def test_a_call_that_fails(kit: Kit, isolation: Isolation, call: Any) -> None:
    """The scope is rolled back, its hooks are dropped, and the next one works."""
    ran: list[str] = []

    async def main() -> tuple[str, list[str]]:
        with pytest.raises(DBAPIError) as caught:
            async with session_manager() as session:
                session.add(kit.Item(name="a"))
                on_commit(ran.append, "hook")
        await add(kit, "b")
        return classify(caught.value).category, await names(kit)

    with isolation(kit.app), Faults(kit.app) as faults:
        faults.fail(call, error="lock_timeout")
        assert run(kit, main) == ("lock_timeout", ["b"])
    assert ran == []


def test_a_connection_that_breaks(kit: Kit, isolation: Isolation) -> None:
    """What was not committed on it is gone, and the next scope has another one."""

    async def main() -> list[str]:
        with pytest.raises(DBAPIError) as caught:
            await add(kit, "b")
        assert classify(caught.value).category == "connection_lost"
        await add(kit, "c")
        return await names(kit)

    with isolation(kit.app), Faults(kit.app) as faults:
        run(kit, add, kit, "a")
        faults.fail("flush", error="connection_lost")
        assert run(kit, main) == ["a", "c"]


def test_a_commit_whose_reply_is_lost(kit: Kit, isolation: Isolation) -> None:
    """The row is stored, and the scope cannot know it."""

    async def main() -> tuple[Any, list[str]]:
        with pytest.raises(errors.CommitOutcomeUnknownError):
            async with session_manager() as session:
                session.add(kit.Item(name="a"))
                scope = current_scope()
        assert scope is not None
        return scope.outcome, await names(kit)

    with isolation(kit.app), Faults(kit.app) as faults:
        faults.lose_reply("commit")
        assert run(kit, main) == ("unknown", ["a"])


def test_a_connection_that_is_killed(kit: Kit) -> None:
    """The server ends it; the driver's own error arrives."""

    async def main() -> list[str]:
        with pytest.raises(DBAPIError) as caught:
            await add(kit, "a")
        assert classify(caught.value).category in ("connection_lost", "server_shutdown")
        await add(kit, "b")
        return await names(kit)

    with CommitIsolation(kit.app), Faults(kit.app) as faults:
        faults.kill_connection()
        assert run(kit, main) == ["b"]
