"""Tests of coroutines: real commits, statements, a refused database, and what is left behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sys
import unittest
from contextlib import ExitStack

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from flask_safesession import AppContextManager, classify, errors, on_commit, session_manager
from flask_safesession.testing import (
    CommitIsolation,
    LeakWatch,
    RollbackIsolation,
    SafeSessionTestCase,
    _databases,
    assert_statements,
    captured_commit_hooks,
    recorded_statements,
)
from flask_safesession.testing._access import refused
from flask_safesession.testing._async_lending import AsyncSharedConnection

from ..conftest import Wanted
from ..kit import Kit, MakeKit
from .sessions import inner_engine, run, session
from .test_rolled_back import add, names, store
from .test_sources import async_url


def test_real_commits(kit: Kit) -> None:
    """What coroutines have stored everybody sees, and it is gone after the test; blocking sessions write too."""
    with CommitIsolation(kit.app, reset_sequences=True):
        run(kit, add, kit, "async")
        with kit.app.app_context(), session_manager() as blocking:
            blocking.add(kit.Item(name="blocking"))
        assert kit.names() == run(kit, names, kit) == ["async", "blocking"]
    assert kit.names() == []


@pytest.fixture(params=["given", "lite"])
def apart(request: pytest.FixtureRequest, make_kit: MakeKit, wanted: Wanted) -> Kit:
    """An app whose blocking sessions are on a SQLite file, and the async ones on PostgreSQL."""
    url = async_url(wanted.get("postgresql-psycopg"), "postgresql+asyncpg")
    if request.param == "lite":
        return make_kit(flavour="lite", config={"SQLALCHEMY_ASYNC_ENGINES": {"default": url}})
    kit = make_kit()
    kit.safe.include(async_sessionmaker(create_async_engine(url)))
    return kit


def test_real_commits_to_a_database_of_coroutines(apart: Kit) -> None:
    """It is emptied by itself, and its numbers begin again."""

    async def first() -> int:
        async with session_manager() as opened:
            item = apart.Item(name="a")
            opened.add(item)
            await opened.flush()
            return int(item.id)

    for _ in range(2):
        with CommitIsolation(apart.app, reset_sequences=True):
            assert run(apart, first) == 1
    assert run(apart, names, apart) == []


def test_a_database_of_coroutines_is_rolled_back(apart: Kit) -> None:
    """Both databases are, each on its own connection."""
    for _ in range(2):
        with RollbackIsolation(apart.app):
            with apart.app.app_context():
                store(apart, "a")
            run(apart, add, apart, "a")
            assert run(apart, names, apart) == ["a"]
    assert (run(apart, names, apart), apart.names()) == ([], [])


def test_a_lock_that_both_kinds_need(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would ever let it go: PostgreSQL gives up."""
    monkeypatch.setattr(_databases, "LOCK_SECONDS", 1)
    without_limit = {"connect_args": {"options": "-c lock_timeout=0"}}
    kit = make_kit("postgresql-psycopg2", engine_options=without_limit)
    with RollbackIsolation(kit.app):
        with kit.app.app_context():
            store(kit, "a")
        with pytest.raises(DBAPIError) as caught:
            run(kit, add, kit, "a")
        assert classify(caught.value).category == "lock_timeout"
        run(kit, add, kit, "b")
        with kit.app.app_context(), pytest.raises(DBAPIError):
            store(kit, "b")


def test_an_engine_of_no_session(sqlite_kit: Kit) -> None:
    """It is isolated if the test says so, and serves other event loops again after it."""
    engine = create_async_engine(async_url(sqlite_kit.database, "sqlite+aiosqlite"))

    async def main(statement: str) -> list[str]:
        async with engine.begin() as connection:
            await connection.execute(text(statement))
            found = list(await connection.scalars(select(sqlite_kit.Item.name)))
        await engine.dispose()
        return found

    with RollbackIsolation(sqlite_kit.app, engines=[engine.sync_engine]):
        assert asyncio.run(main("INSERT INTO item (name) VALUES ('a')")) == ["a"]
    assert asyncio.run(main("SELECT 1")) == []


def test_the_portal(make_kit: MakeKit) -> None:
    """A loop that goes on after the test has connections of its own again."""
    kit = make_kit("postgresql-psycopg2", config={"SAFESESSION_ASYNC_PORTAL": True})

    @kit.app.get("/<name>")
    async def view(name: str) -> list[str]:
        await add(kit, name)
        return await names(kit)

    for _ in range(2):
        with RollbackIsolation(kit.app):
            assert kit.client.get("/a").json == run(kit, names, kit) == ["a"]
    assert kit.names() == []
    assert kit.client.get("/b").json == ["b"]


def test_statements_of_coroutines(kit: Kit) -> None:
    """They are listed too, isolated or not."""
    with recorded_statements(kit.app) as sent:
        run(kit, names, kit)
    assert [each.split()[0] for each in sent] == ["SELECT"]
    with RollbackIsolation(kit.app), assert_statements(kit.app, 1):
        run(kit, add, kit, "a")


def test_hooks_of_coroutines(sqlite_kit: Kit) -> None:
    """They are held back, and awaited when the test lets them run."""
    kit = sqlite_kit
    ran: list[str] = []

    async def hook(name: str) -> None:
        await add(kit, name)
        ran.append(name)

    async def main() -> None:
        async with session_manager():
            on_commit(hook, "awaited")
            on_commit(ran.append, "plain")

    with RollbackIsolation(kit.app), captured_commit_hooks(kit.app) as hooks:
        run(kit, main)
        assert (len(hooks), ran) == (2, [])
        with kit.app.app_context():
            hooks.run()
        assert (ran, run(kit, names, kit)) == (["awaited", "plain"], ["awaited"])


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="its tests do not see what setUp() has pushed"
)
def test_a_test_case_of_coroutines(sqlite_kit: Kit) -> None:
    """With ``unittest`` it is one of both kinds."""
    kit = sqlite_kit

    class Case(SafeSessionTestCase, unittest.IsolatedAsyncioTestCase):
        leaks = "error"

        def create_app(self) -> Flask:
            return kit.app

        async def test_one(self) -> None:
            await add(kit, "a")
            assert await names(kit) == ["a"]

        test_two = test_one

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert kit.names() == []


def test_a_refused_database(sqlite_kit: Kit) -> None:
    """A coroutine has to ask for it, too."""
    with refused(sqlite_kit.app):
        with pytest.raises(
            errors.IsolationUnavailableError, match=r"'names' .*has not asked for it"
        ):
            run(sqlite_kit, names, sqlite_kit)
    assert run(sqlite_kit, names, sqlite_kit) == []


def test_rows_of_a_connection(kit: Kit) -> None:
    """They are read after the statement, where nobody waits any more."""

    async def main() -> list[str]:
        async with session_manager() as opened:
            opened.add_all([kit.Item(name="a"), kit.Item(name="b")])
            connection = await opened.connection()
            await opened.flush()
            result = await connection.execute(select(kit.Item.name).order_by(kit.Item.name))
            return list(result.scalars())

    with RollbackIsolation(kit.app):
        assert run(kit, main) == ["a", "b"]


def test_code_that_cannot_wait(sqlite_kit: Kit) -> None:
    """Outside of coroutines the thread waits for its turn, as the threads of blocking code do."""
    shared = AsyncSharedConnection(inner_engine(sqlite_kit), patience=0.05)
    assert shared.raw is not None
    contextvars.Context().run(shared.begin, shared.lend())
    with pytest.raises(errors.IsolationUnavailableError, match=r"waited 0\.05 s for its turn"):
        contextvars.Context().run(shared.begin, shared.lend())
    shared.close()


def test_a_test_that_was_over(sqlite_kit: Kit) -> None:
    """A session that outlives the test is told so."""
    kit = sqlite_kit

    async def main() -> None:
        with RollbackIsolation(kit.app):
            opened = session(kit)
            await opened.scalar(select(kit.Item.name))
        with pytest.raises(StatementError, match="a test which is over"):
            await opened.scalar(select(kit.Item.name))
        await opened.close()

    run(kit, main)


@pytest.mark.parametrize("is_isolated", [True, False])
def test_a_connection_that_is_left(kit: Kit, is_isolated: bool) -> None:
    """It is named with the line that took it, though its event loop is closed."""
    kept: list[AsyncSession] = []

    async def leak() -> None:
        kept.append(session(kit))
        await kept[0].scalar(select(kit.Item.name))

    with ExitStack() as stack:
        if is_isolated:
            stack.enter_context(RollbackIsolation(kit.app))
        watch = stack.enter_context(LeakWatch(kit.app))
        run(kit, names, kit)
        run(kit, leak)
        (found,) = watch.report()
    end = "is still out of its pool" if is_isolated else "was out until its event loop was closed"
    assert re.fullmatch(rf"a connection {end}, taken by 'leak' \(.*test_testing.py:\d+\)", found)


def test_a_connection_that_is_out(sqlite_kit: Kit) -> None:
    """Also on a loop that goes on; one that broke is not."""
    kit = sqlite_kit

    async def main() -> list[str]:
        with LeakWatch(kit.app) as watch:
            async with session(kit) as broken:
                await (await broken.connection()).invalidate()
            opened = session(kit)
            await opened.scalar(select(kit.Item.name))
            found = watch.report()
        await opened.close()
        return found

    (found,) = run(kit, main)
    assert found.startswith("a connection is still out of its pool, taken by ")


def test_a_connection_that_nobody_has(sqlite_kit: Kit) -> None:
    """One that was collected serves the next, and the test is told."""
    kit = sqlite_kit

    async def leak() -> None:
        await session(kit).scalar(select(kit.Item.name))
        gc.collect()
        await add(kit, "a")

    message = "Nobody gave back the connection that 'leak' .* took; the garbage collector found it"
    with pytest.warns(errors.SafeSessionWarning, match=message), RollbackIsolation(kit.app):
        run(kit, leak)


def test_a_scope_and_a_task_that_are_left(sqlite_kit: Kit) -> None:
    """Each is named with its line; what was there before the test is not."""
    kit = sqlite_kit
    end = asyncio.Event()

    async def wait() -> None:
        await end.wait()

    async def main() -> list[str]:
        manager = AppContextManager(kit.app)
        before = manager.create_task(wait())
        with RollbackIsolation(kit.app), LeakWatch(kit.app) as watch:
            block = session_manager(name="open")
            await block.__aenter__()
            task = manager.create_task(wait(), name="working")
            await asyncio.sleep(0)
            found = watch.report()
            await block.__aexit__(None, None, None)
            end.set()
            await asyncio.gather(before, task)
            assert watch.report() == []
        return found

    scope, job = run(kit, main)
    assert re.fullmatch(r"the scope 'open' \(.*test_testing.py:\d+\) is still open", scope)
    place = r"\(.*test_testing.py:\d+\)"
    name = re.escape("test_a_scope_and_a_task_that_are_left.<locals>.wait")
    assert re.fullmatch(
        f"the job '{name}' still runs in the task 'working', begun by 'main' {place}, and is in 'wait' {place}",
        job,
    )
