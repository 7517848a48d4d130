"""Async sessions of a test that is rolled back: on a connection of their own, which all event loops share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, MissingGreenlet

from flask_safesession import errors, session_manager
from flask_safesession.testing import RollbackIsolation

from ..conftest import Wanted
from ..kit import Kit, MakeKit
from .sessions import run
from .test_sources import ASYNC_URLS, async_url


@pytest.fixture(params=ASYNC_URLS)
def kit(request: pytest.FixtureRequest, make_kit: MakeKit, wanted: Wanted) -> Iterator[Kit]:
    """An app on each database through each async driver, of which nothing is stored when the isolation has ended."""
    name, driver = request.param
    url = async_url(wanted.get(name), driver)
    kit = make_kit(name, config={"SAFESESSION_ASYNC_ENGINES": {None: url}})
    with RollbackIsolation(kit.app, patience=1.0):
        yield kit
    assert kit.names() == []


async def add(kit: Kit, name: str, **options: Any) -> None:
    async with session_manager(**options) as session:
        session.add(kit.Item(name=name))


def store(kit: Kit, name: str) -> None:
    with session_manager() as session:
        session.add(kit.Item(name=name))


async def names(kit: Kit) -> list[str]:
    async with session_manager() as session:
        return sorted(await session.scalars(select(kit.Item.name)))


def test_event_loops_share_it(kit: Kit) -> None:
    """What one loop has committed another one sees, as each async view has its own."""
    run(kit, add, kit, "a")
    run(kit, add, kit, "b")
    assert run(kit, names, kit) == ["a", "b"]


def test_tasks_take_turns(kit: Kit) -> None:
    """Scopes of several tasks at once commit and fail each for itself."""

    async def fail(name: str) -> None:
        async with session_manager() as session:
            session.add(kit.Item(name=name))
            await session.flush()
            await asyncio.sleep(0)
            raise ZeroDivisionError

    async def main() -> list[Any]:
        works = (add(kit, "a"), fail("b"), add(kit, "c"), fail("d"))
        return list(await asyncio.gather(*works, return_exceptions=True))

    found = run(kit, main)
    assert [type(each) for each in found] == [type(None), ZeroDivisionError] * 2
    assert run(kit, names, kit) == ["a", "c"]


def test_a_task_inside_a_transaction(kit: Kit) -> None:
    """What a scope starts and waits for goes on top of it."""

    async def main() -> list[str]:
        async with session_manager() as session:
            session.add(kit.Item(name="outer"))
            await session.flush()
            await asyncio.gather(add(kit, "a"), add(kit, "b"))
            return await asyncio.create_task(names(kit))

    assert run(kit, main) == ["a", "b", "outer"]


def test_tasks_that_wait_for_each_other(kit: Kit) -> None:
    """Neither can go on: the one that waits for its turn says so."""

    async def main() -> None:
        begun, done = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with session_manager() as session:
                await session.execute(select(kit.Item))
                begun.set()
                await done.wait()

        task = asyncio.create_task(first())
        await begun.wait()
        try:
            with pytest.raises(errors.IsolationUnavailableError, match="waited 1 s for its turn"):
                await add(kit, "b")
        finally:
            done.set()
            await task

    run(kit, main)


def test_savepoints_and_transactions_of_their_own(kit: Kit) -> None:
    """``nested`` and ``requires_new`` are what they are in production, a caller's rollback aside."""

    async def main() -> None:
        async with session_manager() as session:
            await session.scalar(select(kit.Item.name))
            await add(kit, "new", propagation="requires_new")
            with pytest.raises(IntegrityError):
                await add(kit, "new", propagation="nested")
            await add(kit, "nested", propagation="nested")

    run(kit, main)
    assert run(kit, names, kit) == ["nested", "new"]


@pytest.mark.parametrize("statement", ["SELECT nonsense", "INSERT INTO item (name) VALUES (NULL)"])
def test_a_statement_that_fails(kit: Kit, statement: str) -> None:
    """The transaction is rolled back, and the next one works."""

    async def main() -> None:
        await add(kit, "a")
        with pytest.raises(DBAPIError):
            async with session_manager() as session:
                await session.execute(text(statement))
        await add(kit, "b")

    run(kit, main)
    assert run(kit, names, kit) == ["a", "b"]


def test_options_of_a_scope(kit: Kit) -> None:
    """A read-only scope cannot write; an isolation level and a time limit are taken."""

    async def main() -> None:
        with pytest.raises(DBAPIError):
            await add(kit, "a", read_only=True)
        await add(kit, "b", isolation_level="SERIALIZABLE", timeout=5)

    run(kit, main)
    assert run(kit, names, kit) == ["b"]


def test_a_statement_that_is_cancelled(kit: Kit) -> None:
    """It runs to its end, its transaction is undone, and the connection serves the next one."""

    async def main() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            flush = asyncio.current_task()
            assert flush is not None
            asyncio.get_running_loop().call_soon(flush.cancel)
            await session.flush()

    with pytest.raises(asyncio.CancelledError):
        run(kit, main)
    run(kit, add, kit, "b")
    assert run(kit, names, kit) == ["b"]


def test_rows_one_after_the_other(kit: Kit) -> None:
    """A cursor of the server, where the driver has one."""

    async def main() -> list[str]:
        await add(kit, "a")
        await add(kit, "b")
        async with session_manager() as session:
            rows = await session.stream_scalars(select(kit.Item.name).order_by(kit.Item.name))
            return [each async for each in rows]

    assert run(kit, main) == ["a", "b"]


def test_blocking_sessions_see_nothing(kit: Kit) -> None:
    """Nor the reverse: each kind has a connection of its own."""
    run(kit, add, kit, "async")
    with kit.app.app_context():
        if kit.database.dialect == "sqlite":
            with pytest.raises(errors.IsolationUnavailableError, match="which has one writer"):
                store(kit, "blocking")
        else:
            store(kit, "blocking")
            with session_manager() as session:
                assert session.scalars(select(kit.Item.name)).all() == ["blocking"]
    assert run(kit, names, kit) == ["async"]


def test_async_views(kit: Kit) -> None:
    """A request sees what the one before it has committed, and what the test has stored by an async scope."""

    @kit.app.post("/<name>")
    async def view(name: str) -> list[str]:
        await add(kit, name)
        return await names(kit)

    run(kit, add, kit, "a")
    assert kit.client.post("/b").json == ["a", "b"]
    assert kit.client.post("/c").json == ["a", "b", "c"]


def test_a_request_from_a_coroutine(kit: Kit) -> None:
    """The view's loop runs in another thread, while the test's transaction is open."""

    @kit.app.post("/<name>")
    async def view(name: str) -> list[str]:
        await add(kit, name)
        return await names(kit)

    async def main() -> Any:
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            await session.flush()
            return (await asyncio.to_thread(kit.client.post, "/b")).json

    assert run(kit, main) == ["a", "b"]


def test_without_await(kit: Kit) -> None:
    """What needs an ``await`` in production needs one in a test."""

    async def main() -> None:
        async with session_manager() as session:
            with pytest.raises(MissingGreenlet):
                session.sync_session.execute(select(kit.Item))

    run(kit, main)
