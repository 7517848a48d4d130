"""Async sessions in places that nobody planned: other loops, other threads, two apps, hooks of Flask, odd tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from flask import Response
from sqlalchemy import Engine, event, text

from flask_safesession import (
    AppContextManager,
    current_scope,
    errors,
    on_commit,
    session_manager,
)

from ..kit import Kit, MakeKit
from .sessions import run


@contextmanager
def _loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _add(kit: Kit, name: str) -> None:
    async with session_manager() as session:
        session.add(kit.Item(name=name))


def test_a_synchronous_scope_after_an_asynchronous_one(kit: Kit) -> None:
    """It is the current one of the coroutine, until it ends; its hooks run."""
    stored: list[str] = []

    async def both() -> None:
        await _add(kit, "asynchronous")
        with session_manager() as session:
            scope = current_scope()
            assert scope is not None
            assert scope.outcome is None
            on_commit(stored.append, "synchronous")
            session.add(kit.Item(name="synchronous"))
        assert current_scope() is None
        assert stored == ["synchronous"]
        await _add(kit, "last")

    run(kit, both)
    assert kit.names() == ["asynchronous", "last", "synchronous"]


def test_a_loop_in_the_background(kit: Kit) -> None:
    """Its jobs have contexts of their own, whoever submits them."""

    async def job(name: str) -> None:
        async with AppContextManager(kit.app):
            await _add(kit, name)

    with _loop_in_a_thread() as loop:
        asyncio.run_coroutine_threadsafe(job("outside"), loop).result(20)
        with kit.app.app_context():
            asyncio.run_coroutine_threadsafe(job("inside"), loop).result(20)
    assert kit.names() == ["inside", "outside"]


def test_a_loop_in_the_background_without_a_context(sqlite_kit: Kit) -> None:
    """The error says how to get one."""
    with _loop_in_a_thread() as loop:
        future = asyncio.run_coroutine_threadsafe(_add(sqlite_kit, "never"), loop)
        with pytest.raises(errors.NoAppError, match=r"'with AppContextManager\(app\):' in a"):
            future.result(20)


def test_a_loop_that_was_closed_inside_a_block(kit: Kit) -> None:
    """Nothing is stored, and who leaves the block later is told that it cannot."""
    manager = session_manager()
    loop = asyncio.new_event_loop()

    async def leave() -> None:
        await manager.__aexit__(None, None, None)

    with kit.app.app_context():
        loop.run_until_complete(manager.__aenter__()).add(kit.Item(name="never"))
        loop.close()
        with pytest.raises(errors.TransactionActiveError, match="left in another task"):
            asyncio.run(leave())
    assert kit.names() == []


def test_a_session_of_a_loop_that_was_closed(kit: Kit) -> None:
    """It is refused in the next one; its connection has gone with the loop."""

    async def begin() -> Any:
        async with session_manager() as session:
            await session.execute(text("SELECT 1"))
            return session

    with kit.app.app_context():
        session = asyncio.run(begin())
        with pytest.raises(errors.StaleContextError, match="block that has ended"):
            asyncio.run(session.execute(text("SELECT 1")))


def test_a_block_that_no_loop_runs(sqlite_kit: Kit) -> None:
    """Whoever drives a coroutine by hand learns what runs one."""
    entering: Coroutine[Any, Any, Any] = session_manager().__aenter__()
    with sqlite_kit.app.app_context(), pytest.raises(RuntimeError, match=r"'asyncio\.run\(\)' or"):
        entering.send(None)


@pytest.mark.postgresql
@pytest.mark.mariadb
def test_two_apps_in_one_task(make_kit: MakeKit) -> None:
    """Each has its own scope and commits its own."""
    outer, inner = make_kit("postgresql-psycopg"), make_kit("mariadb-pymysql")

    async def main() -> None:
        async with session_manager(name="outer") as session:
            session.add(outer.Item(name="outer"))
            with inner.app.app_context():
                assert current_scope() is None
                await _add(inner, "inner")
            scope = current_scope()
            assert scope is not None
            assert scope.name == "outer"

    run(outer, main)
    assert (outer.names(), inner.names()) == (["outer"], ["inner"])


def test_a_context_that_ends_before_its_task(kit: Kit) -> None:
    """The task is not given somebody else's context, and says what happened."""

    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        await _add(kit, "never")

    async def main() -> None:
        ended = asyncio.Event()
        with kit.app.app_context():
            task = asyncio.create_task(late(ended))
        ended.set()
        with pytest.raises(errors.StaleContextError, match="has already ended"):
            await task

    asyncio.run(main())
    assert kit.names() == []


def test_a_task_that_outlives_its_view(kit: Kit) -> None:
    """Flask ends it with the loop of the view."""
    ended: list[Any] = []

    async def late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(asyncio.current_task())

    @kit.app.get("/")
    async def view() -> str:
        ended.append(asyncio.create_task(late()))
        await _add(kit, "view")
        return "ok"

    assert kit.client.get("/").text == "ok"
    assert (ended[0], kit.names()) == (ended[1], ["view"])


def test_the_functions_around_a_view(kit: Kit) -> None:
    """Each that Flask awaits has a loop and may have scopes."""

    @kit.app.before_request
    async def before() -> None:
        await _add(kit, "before")

    @kit.app.after_request
    async def after(response: Response) -> Response:
        await _add(kit, "after")
        return response

    @kit.app.teardown_request
    async def teardown(_: BaseException | None) -> None:
        await _add(kit, "teardown")

    @kit.app.get("/")
    async def view() -> str:
        await _add(kit, "view")
        return "ok"

    assert kit.client.get("/").status_code == 200
    assert kit.names() == ["after", "before", "teardown", "view"]


def test_a_loop_inside_a_plain_view(kit: Kit) -> None:
    """``asyncio.run()`` has its own session; ``db.session`` goes on after it."""

    @kit.app.get("/")
    def view() -> str:
        asyncio.run(_add(kit, "async"))
        with session_manager() as session:
            session.add(kit.Item(name="plain"))
        return "ok"

    assert kit.client.get("/").status_code == 200
    assert kit.names() == ["async", "plain"]


def test_the_tasks_and_limits_of_anyio(kit: Kit) -> None:
    """Its time limits inside and around a block, and its task groups."""

    async def main() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="inside"))
            with anyio.move_on_after(0.02):
                await anyio.sleep_forever()
        with anyio.move_on_after(0.02):
            async with session_manager() as session:
                session.add(kit.Item(name="never"))
                await anyio.sleep_forever()
        async with anyio.create_task_group() as group:
            group.start_soon(_add, kit, "in a group")

    with kit.app.app_context():
        anyio.run(main)
    assert kit.names() == ["in a group", "inside"]


def test_a_block_in_a_generator_that_nobody_ends(kit: Kit) -> None:
    """The loop closes it: rolled back, and no connection is out."""

    async def rows() -> Any:
        async with session_manager() as session:
            session.add(kit.Item(name="never"))
            await session.flush()
            yield session

    async def main() -> None:
        async for _ in rows():
            break

    run(kit, main)
    assert kit.names() == []


def test_a_listener_on_the_class_of_engines(make_kit: MakeKit) -> None:
    """It hears of the connections of both kinds, as the docs say; one on the app's engine does not."""

    @event.listens_for(Engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    async def is_on() -> Any:
        async with session_manager() as session:
            return await session.scalar(text("PRAGMA foreign_keys"))

    try:
        kit = make_kit()
        assert run(kit, is_on) == 1
    finally:
        event.remove(Engine, "connect", on_connect)
