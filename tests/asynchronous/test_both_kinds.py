"""Apps with sessions of both kinds: neither takes part in the scopes of the other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from flask.views import MethodView
from sqlalchemy import select

from flask_safesession import attempts, current_scope, errors, session_manager, transactional

from ..kit import Kit, MakeKit
from .sessions import run


def test_each_has_its_own_scopes(kit: Kit) -> None:
    """They come after each other, and both are stored."""

    async def main() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="async"))
        with session_manager() as blocking:
            blocking.add(kit.Item(name="blocking"))
        async with session_manager() as session:
            found = await session.scalars(select(kit.Item.name))
            assert sorted(found) == ["async", "blocking"]

    run(kit, main)
    assert (kit.names(), kit.checkedout()) == (["async", "blocking"], 0)


def test_db_session_inside_an_asynchronous_scope(sqlite_kit: Kit) -> None:
    """It is no part of it, and says which session is; also where it is there already."""

    async def main() -> None:
        sqlite_kit.db.session.execute(select(sqlite_kit.Item))
        sqlite_kit.db.session.rollback()
        async with session_manager(name="owner"):
            with pytest.raises(errors.TransactionActiveError) as caught:
                sqlite_kit.db.session.add(sqlite_kit.Item(name="lost"))
            assert (
                "used the synchronous session of the app inside the asynchronous transaction that 'owner' owns"
                in str(caught.value)
            )
            assert "Use the session that the block gave" in str(caught.value)
        sqlite_kit.db.session.add(sqlite_kit.Item(name="stored"))
        sqlite_kit.db.session.commit()

    run(sqlite_kit, main)
    assert sqlite_kit.names() == ["stored"]


def test_db_session_in_a_suspended_scope_and_in_a_child(sqlite_kit: Kit) -> None:
    """There is no scope around it there."""

    async def child() -> Any:
        return sqlite_kit.db.session.scalar(select(sqlite_kit.Item.id))

    async def main() -> None:
        async with session_manager():
            assert await asyncio.create_task(child()) is None

    run(sqlite_kit, main)


def test_an_asynchronous_scope_inside_a_synchronous_one(sqlite_kit: Kit) -> None:
    """It cannot join it, and says so before it opens anything."""

    async def main() -> None:
        with session_manager(name="outer") as session:
            session.add(sqlite_kit.Item(name="stored"))
            with pytest.raises(errors.TransactionActiveError, match=r"that 'outer' owns .*cannot"):
                async with session_manager():
                    pass

    run(sqlite_kit, main)
    assert sqlite_kit.names() == ["stored"]


def test_synchronous_blocks_inside_an_asynchronous_scope(sqlite_kit: Kit) -> None:
    """They are refused, and by ``run_sync()`` join, suspend and try as ever."""

    @transactional(propagation="requires_new", read_only=True)
    def beside() -> int:
        scope = current_scope()
        assert scope is not None
        assert scope.depth == 2
        return 1

    def inside(session: Any) -> None:
        with session_manager() as joined:
            assert joined is session
        for attempt in attempts():
            with attempt as tried:
                assert tried is session
        assert beside() == 1

    async def main() -> None:
        async with session_manager() as session:
            for open_block in (lambda: inside(None), beside):
                with pytest.raises(errors.TransactionActiveError, match="is asynchronous"):
                    open_block()
            await session.run_sync(inside)
        async with session_manager(), session_manager(propagation="not_supported") as session:
            with pytest.raises(errors.TransactionActiveError, match="an asynchronous block"):
                inside(None)

    run(sqlite_kit, main)


def test_a_context_that_ends_inside_a_block(sqlite_kit: Kit) -> None:
    """What is open is given up, its connection dropped, and the session refused from then on."""

    async def main() -> None:
        others = set(threading.enumerate())
        context = sqlite_kit.app.app_context()
        context.push()
        manager = session_manager()
        session = await manager.__aenter__()
        session.add(sqlite_kit.Item(name="lost"))
        await session.flush()
        workers = set(threading.enumerate()) - others
        with pytest.warns(errors.UncommittedChangesWarning):
            context.pop()
        for each in workers:  # aiosqlite's, which answer to this loop as they end
            await asyncio.to_thread(each.join, 5)
        with pytest.raises(errors.StaleContextError):
            await session.execute(select(sqlite_kit.Item))

    asyncio.run(main())
    assert sqlite_kit.names() == []


def test_a_context_that_ends_before_a_child(sqlite_kit: Kit) -> None:
    """The child goes on with the scope that it has opened, and gets no other."""
    opened, ended = asyncio.Event(), asyncio.Event()

    async def child() -> None:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
            opened.set()
            await ended.wait()
        with pytest.raises(errors.StaleContextError):
            async with session_manager():
                pass

    async def main() -> None:
        with sqlite_kit.app.app_context():
            task = asyncio.create_task(child())
            await opened.wait()
        ended.set()
        await task

    asyncio.run(main())
    assert sqlite_kit.names() == ["stored"]


def test_no_event_loop(sqlite_kit: Kit) -> None:
    """A coroutine that somebody drives by hand."""
    with sqlite_kit.app.app_context():
        entering = session_manager().__aenter__()
        with pytest.raises(RuntimeError, match="outside of any asyncio task"):
            entering.send(None)


def test_the_object_of_a_block_is_entered_once(sqlite_kit: Kit) -> None:
    """As it is by ``with``."""

    async def main() -> None:
        manager = session_manager()
        async with manager:
            with pytest.raises(errors.TransactionActiveError, match="was entered again"):
                await manager.__aenter__()
        async with manager:
            pass

    run(sqlite_kit, main)


def test_changes_between_two_blocks_belong_to_the_next(sqlite_kit: Kit) -> None:
    """As they do in synchronous code."""

    async def main() -> None:
        async with session_manager() as session:
            item = sqlite_kit.Item(name="before")
            session.add(item)
        item.name = "after"
        async with session_manager():
            pass

    run(sqlite_kit, main)
    assert sqlite_kit.names() == ["after"]


def test_a_blocking_scope_around_a_class(sqlite_kit: Kit) -> None:
    """A method that Flask awaits in there has no part in it, and is told so."""

    class Items(MethodView):
        decorators: ClassVar = [transactional]

        async def get(self) -> str:
            async with session_manager():
                return "never"

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    with pytest.raises(errors.TransactionActiveError, match=r"'get' .* transaction that 'items'"):
        sqlite_kit.client.get("/")


def test_the_methods_of_a_class_have_either(make_kit: MakeKit) -> None:
    """``SAFESESSION_TRANSACTIONAL_VIEWS`` gives each the kind of scope that it can use."""
    kit = make_kit("sqlite-file", options={"transactional_views": True})

    class Items(MethodView):
        def get(self) -> tuple[str, int]:
            kit.session().add(kit.Item(name="blocking"))
            return "", 200

        async def put(self) -> tuple[str, int]:
            async with session_manager() as session:
                session.add(kit.Item(name="async"))
            return "", 200

        async def post(self) -> tuple[str, int]:
            await self.put()
            return "", 409

    kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    statuses = [kit.client.open("/", method=each).status_code for each in ("GET", "PUT", "POST")]
    assert (statuses, kit.names()) == ([200, 200, 409], ["async", "blocking"])
