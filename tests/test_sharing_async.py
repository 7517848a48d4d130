"""A session serves one task at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from sqlalchemy import text
from sqlalchemy.orm import sessionmaker

from flask_safesession import errors, handoff, session_manager

from .kit import Kit

SELECT = text("SELECT 1")


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, within the time limit of a test."""
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def refusal(coroutine: Coroutine[Any, Any, Any]) -> str:
    """The message of the refusal that comes out of *coroutine*."""
    with pytest.raises(errors.SessionSharedError) as caught:
        run(coroutine)
    return str(caught.value)


def test_a_child_task(sqlite_kit: Kit) -> None:
    """A task that was given its parent's session is refused, and both are named."""
    session = sqlite_kit.db.session

    async def child() -> None:
        session.execute(SELECT)

    async def parent() -> None:
        session.execute(SELECT)
        await asyncio.create_task(child(), name="child")

    async def main() -> None:
        await asyncio.create_task(parent(), name="parent")

    with sqlite_kit.app.app_context():
        message = refusal(main())
    assert "'child' (" in message
    assert "in task 'child' used the session that task 'parent' got at 'parent'" in message


def test_two_tasks_at_once(sqlite_kit: Kit) -> None:
    """The first gets the session; what it commits is its own."""
    session = sqlite_kit.db.session

    async def store(name: str) -> str:
        session.add(sqlite_kit.Item(name=name))
        await asyncio.sleep(0)
        session.commit()
        return name

    async def main() -> Any:
        return await asyncio.gather(store("a"), store("b"), return_exceptions=True)

    with sqlite_kit.app.app_context():
        first, second = run(main())
    assert (first, type(second), sqlite_kit.names()) == ("a", errors.SessionSharedError, ["a"])


def test_a_loop_below_a_scope(sqlite_kit: Kit) -> None:
    """A thread waits for the loop that it runs: its task goes on with the session, and the thread after it."""

    async def store(name: str) -> None:
        sqlite_kit.db.session.add(sqlite_kit.Item(name=name))

    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
        run(store("b"))
        run(store("c"))
        session.add(sqlite_kit.Item(name="d"))
    assert sqlite_kit.names() == ["a", "b", "c", "d"]


def test_a_task_below_a_task(sqlite_kit: Kit) -> None:
    """A thread whose loop has been stopped is refused what a task of it still has."""
    session = sqlite_kit.db.session

    async def wait(begun: asyncio.Event) -> None:
        session.execute(SELECT)
        begun.set()
        await asyncio.sleep(60)

    async def main() -> asyncio.Task[None]:
        begun = asyncio.Event()
        task = asyncio.create_task(wait(begun), name="waiting")
        await begun.wait()
        return task

    with sqlite_kit.app.app_context():
        loop = asyncio.new_event_loop()
        task = loop.run_until_complete(main())
        with pytest.raises(errors.SessionSharedError, match="task 'waiting'"):
            session.commit()
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
        loop.close()
        session.commit()


def test_a_thread_of_a_coroutine(sqlite_kit: Kit) -> None:
    """``asyncio.to_thread`` takes the context along, and with it the session, which is refused there."""
    session = sqlite_kit.db.session

    async def main() -> None:
        session.execute(SELECT)
        await asyncio.to_thread(session.commit)

    with sqlite_kit.app.app_context():
        assert "used the session that task 'Task-" in refusal(main())


def test_a_handoff_to_a_thread(sqlite_kit: Kit) -> None:
    """It may be handed there, and back."""
    session = sqlite_kit.db.session

    def work() -> None:
        session.add(sqlite_kit.Item(name="a"))
        handoff(session)

    async def main() -> None:
        handoff(session)
        await asyncio.to_thread(work)
        session.commit()

    with sqlite_kit.app.app_context():
        run(main())
    assert sqlite_kit.names() == ["a"]


def test_what_an_ended_task_left_open(sqlite_kit: Kit) -> None:
    """The next task does not commit it by accident."""
    session = sqlite_kit.db.session

    async def add() -> None:
        session.add(sqlite_kit.Item(name="a"))

    async def commit() -> None:
        session.commit()

    async def main() -> None:
        await asyncio.create_task(add())
        await asyncio.create_task(commit())

    with sqlite_kit.app.app_context():
        assert "left a transaction open" in refusal(main())
        session.rollback()


def test_an_async_view(sqlite_kit: Kit) -> None:
    """Flask runs it in another thread, and waits; functions before and after it use the same session."""
    pytest.importorskip("asgiref")
    app, db = sqlite_kit.app, sqlite_kit.db

    @app.before_request
    def load() -> None:
        db.session.add(sqlite_kit.Item(name="before"))

    @app.get("/")
    async def view() -> str:
        db.session.add(sqlite_kit.Item(name="view"))
        await asyncio.sleep(0)
        db.session.flush()
        return "done"

    @app.after_request
    def store(response: Response) -> Response:
        db.session.commit()
        return response

    assert app.test_client().get("/").text == "done"
    assert sqlite_kit.names() == ["before", "view"]


def test_a_child_of_an_async_view(sqlite_kit: Kit) -> None:
    """It is nobody's stand-in."""
    pytest.importorskip("asgiref")

    @sqlite_kit.app.get("/")
    async def view() -> str:
        sqlite_kit.db.session.execute(SELECT)
        await asyncio.create_task(child())
        return "done"

    async def child() -> None:
        sqlite_kit.db.session.execute(SELECT)

    with pytest.raises(errors.SessionSharedError):
        sqlite_kit.app.test_client().get("/")


def test_the_greenlets_of_an_async_session(sqlite_kit: Kit, tmp_path: Path) -> None:
    """What SQLAlchemy starts for an ``AsyncSession`` counts as its task; a child task is refused."""
    pytest.importorskip("aiosqlite")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    factory = sessionmaker()
    sqlite_kit.safe.include(factory)

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'async.db'}")
        async with AsyncSession(engine, sync_session_class=factory.class_) as session:
            assert await session.scalar(SELECT) == 1
            assert await session.run_sync(lambda sync: sync.scalar(SELECT)) == 1
            with pytest.raises(errors.SessionSharedError):
                await asyncio.create_task(session.run_sync(lambda sync: sync.scalar(SELECT)))
        await engine.dispose()

    run(main())
