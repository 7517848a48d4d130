"""A scope belongs to the task that opened it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import current_scope, errors, session_manager

from .conftest import MakeKit
from .kit import AsyncKit

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

SELECT = text("SELECT 1")
Use = Callable[[AsyncKit, AsyncSession], Awaitable[Any]]


async def _call(function: Callable[..., Any], *args: Any) -> None:
    function(*args)


async def _begin(session: AsyncSession) -> None:
    async with session.begin():
        pass


async def _begin_nested(session: AsyncSession) -> None:
    async with session.begin_nested():
        pass


async def _enter(session: AsyncSession) -> None:
    async with session:
        pass


USES: dict[str, Use] = {
    "add": lambda kit, session: _call(session.add, kit.Item(name="stolen")),
    "add_all": lambda kit, session: _call(session.add_all, [kit.Item(name="stolen")]),
    "begin": lambda _, session: _begin(session),
    "begin_nested": lambda _, session: _begin_nested(session),
    "close": lambda _, session: session.close(),
    "commit": lambda _, session: session.commit(),
    "connection": lambda _, session: session.connection(),
    "execute": lambda _, session: session.execute(SELECT),
    "expire_all": lambda _, session: _call(session.expire_all),
    "expunge_all": lambda _, session: _call(session.expunge_all),
    "flush": lambda _, session: session.flush(),
    "get": lambda kit, session: session.get(kit.Item, 1),
    "get_one": lambda kit, session: session.get_one(kit.Item, 1),
    "invalidate": lambda _, session: session.invalidate(),
    "merge": lambda kit, session: session.merge(kit.Item(name="stolen")),
    "new": lambda _, session: _call(lambda: session.new),
    "reset": lambda _, session: session.reset(),
    "rollback": lambda _, session: session.rollback(),
    "run_sync": lambda _, session: session.run_sync(lambda inner: inner.execute(SELECT)),
    "scalar": lambda _, session: session.scalar(SELECT),
    "scalars": lambda _, session: session.scalars(SELECT),
    "stream": lambda _, session: session.stream(SELECT),
    "stream_scalars": lambda _, session: session.stream_scalars(SELECT),
    "async with session": lambda _, session: _enter(session),
    "iter": lambda _, session: _call(list, session),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "warm"])
async def test_a_child_task_is_refused(sqlite_kit: AsyncKit, use: Use, warm: bool) -> None:
    """At its first call, with both tasks named; what the parent did is stored.

    Stock SQLAlchemy lets a warm session through, and loses writes.
    """

    async def child(session: AsyncSession) -> None:
        await use(sqlite_kit, session)

    async with session_manager() as session:
        session.add(sqlite_kit.Item(name="parent"))
        if warm:
            await session.flush()
        with pytest.raises(errors.SessionSharedError) as caught:
            await asyncio.create_task(child(session), name="child")
        own = asyncio.current_task()
        assert own is not None
    message = str(caught.value)
    assert "in task 'child' used the session that task" in message
    assert f"task '{own.get_name()}'" in message
    assert sqlite_kit.names() == ["parent"]


async def test_the_message_says_what_makes_a_task(sqlite_kit: AsyncKit) -> None:
    """Nobody who writes ``gather()`` thinks of tasks."""
    async with session_manager() as session:
        with pytest.raises(errors.SessionSharedError) as caught:
            await asyncio.gather(session.execute(SELECT))
    assert str(caught.value).endswith(
        "A session serves one thread, greenlet or task at a time. Await the call in the task that has the session: "
        "'create_task()', 'gather()' and 'shield()' make tasks of their own. Or open a session there, by 'async with "
        "session_manager():'."
    )


@pytest.mark.parametrize("name", ["gather", "ensure_future", "to_thread"])
async def test_every_way_of_having_a_child(sqlite_kit: AsyncKit, name: str) -> None:
    """Whoever made the task or the thread."""

    async def child(session: AsyncSession) -> None:
        await session.execute(SELECT)

    ways: dict[str, Callable[[AsyncSession], Awaitable[Any]]] = {
        "gather": lambda session: asyncio.gather(child(session), child(session)),
        "ensure_future": lambda session: asyncio.ensure_future(child(session)),
        "to_thread": lambda session: asyncio.to_thread(session.add, sqlite_kit.Item(name="x")),
    }
    async with session_manager() as session:
        await session.execute(SELECT)
        with pytest.raises(errors.SessionSharedError):
            await ways[name](session)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11")
async def test_a_task_group(sqlite_kit: AsyncKit) -> None:
    """Its group of errors holds ours."""

    async def child(session: AsyncSession) -> None:
        await session.execute(SELECT)

    async with session_manager() as session:
        await session.execute(SELECT)
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
                group.create_task(child(session))
    assert [type(each) for each in caught.value.exceptions] == [errors.SessionSharedError]


async def test_a_child_has_scopes_of_its_own(kit: AsyncKit) -> None:
    """There is none around it, and its block begins one with a session of its own."""
    seen: list[Any] = []

    async def child() -> None:
        seen.append(current_scope())
        async with session_manager(name="child") as session:
            seen.append(session)
            scope = current_scope()
            assert scope is not None
            seen.append((scope.name, scope.depth))
            await session.execute(select(kit.Item))

    async with session_manager() as session:
        await session.execute(select(kit.Item))
        await asyncio.create_task(child())
        await asyncio.to_thread(lambda: seen.append(current_scope()))
    assert seen[0] is None
    assert seen[1] is not session
    assert seen[2:] == [("child", 1), None]


async def test_children_store_their_own(kit: AsyncKit) -> None:
    """One fails, and the others commit."""

    async def child(number: int) -> None:
        async with session_manager() as session:
            session.add(kit.Item(name=f"item {number}"))
            await session.flush()
            if number == 2:
                raise KeyError(number)

    found = await asyncio.gather(*(child(number) for number in range(4)), return_exceptions=True)
    assert [type(each).__name__ for each in found] == [
        "NoneType",
        "NoneType",
        "KeyError",
        "NoneType",
    ]
    assert kit.names() == ["item 0", "item 1", "item 3"]


async def test_two_children_at_once_on_postgresql(make_kit: MakeKit) -> None:
    """Two tasks that insert at the same moment: each has a connection, and both are stored.

    With one session stock SQLAlchemy answers that another operation is in progress.
    """
    kit = make_kit("asyncpg")

    async def child(name: str) -> None:
        async with session_manager() as session:
            await session.execute(text("SELECT pg_sleep(0.01)"))
            session.add(kit.Item(name=name))

    with kit.app.app_context():
        async with session_manager() as session:
            await asyncio.gather(child("a"), child("b"))
            session.add(kit.Item(name="c"))
    assert kit.names() == ["a", "b", "c"]


async def test_a_session_kept_past_its_block(kit: AsyncKit) -> None:
    """It takes no more statements, and the next block goes on with it."""
    async with session_manager() as session:
        session.add(kit.Item(name="first"))
    with pytest.raises(errors.StaleContextError, match="'test_a_session_kept_past_its_block'"):
        await session.execute(SELECT)
    async with session_manager() as again:
        assert again is session
        again.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


async def test_a_block_without_a_scope_gives_its_connection_back(kit: AsyncKit) -> None:
    """What it has not stored is reported where it ends."""
    async with session_manager(propagation="supports") as session:
        assert current_scope() is None
        await session.execute(select(kit.Item))
    assert kit.checkedout() == 0
    with pytest.warns(errors.UncommittedChangesWarning, match="1 new object"):
        async with session_manager(propagation="supports") as session:
            session.add(kit.Item(name="lost"))
            await session.connection()
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def _scopes(kit: AsyncKit) -> AsyncIterator[None]:
    async with session_manager() as session:
        session.add(kit.Item(name="lost"))
        await session.flush()
        yield


async def test_a_scope_that_another_task_leaves(kit: AsyncKit) -> None:
    """It is rolled back, and the error names both places."""
    scopes = _scopes(kit)

    async def advance() -> None:
        with contextlib.suppress(StopAsyncIteration):
            await anext(scopes)

    await asyncio.create_task(advance(), name="first")
    with pytest.raises(errors.TransactionActiveError, match=r"entered in .* and left in another"):
        await asyncio.create_task(advance(), name="second")
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_a_generator_that_another_task_closes(kit: AsyncKit) -> None:
    """It is rolled back without a word: nobody asked for a commit."""
    scopes = _scopes(kit)
    await asyncio.create_task(anext(scopes))  # type: ignore[arg-type]
    await asyncio.create_task(scopes.aclose())  # type: ignore[attr-defined]
    assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("mode", ["warn", "off"])
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg", "asyncmy", "aiosqlite"])
async def test_the_end_waits_for_a_childs_statement(
    make_kit: MakeKit, mode: str, driver: str
) -> None:
    """Where sharing is allowed, the block closes nothing under it; a pool of one serves the next job.

    Stock SQLAlchemy raises ``IllegalStateChangeError``, and asyncpg "another operation is in progress".
    """
    kit = make_kit(
        driver,
        options={"sharing": mode},
        engine_options={"pool_size": 1, "max_overflow": 0},
    )
    slow = {"asyncpg": "SELECT pg_sleep(0.2)", "psycopg": "SELECT pg_sleep(0.2)"}.get(
        driver,
        "SELECT SLEEP(0.2)"
        if driver == "asyncmy"
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n",
    )
    begun = asyncio.Event()

    async def child(session: AsyncSession) -> Any:
        begun.set()
        return await session.scalar(text(slow))

    with kit.app.app_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.SessionSharedWarning)
        async with session_manager() as session:
            await session.execute(insert(kit.Item).values(name="stored"))
            task = asyncio.create_task(child(session))
            await begun.wait()
            await asyncio.sleep(0)
        assert task.done()
        assert task.exception() is None
        assert kit.checkedout() == 0
        async with session_manager() as session:
            assert await session.scalar(SELECT) == 1
    assert kit.names() == ["stored"]


async def test_a_child_that_only_adds_is_not_waited_for(make_kit: MakeKit) -> None:
    """What needs no database is done at once; the child itself may go on."""
    kit = make_kit(options={"sharing": "off"})
    added, end = asyncio.Event(), asyncio.Event()

    async def child(session: AsyncSession) -> None:
        session.add(kit.Item(name="stored"))
        added.set()
        await end.wait()

    with kit.app.app_context():
        async with session_manager() as session:
            await session.execute(SELECT)
            task = asyncio.create_task(child(session))
            await added.wait()
        end.set()
        await task
    assert kit.names() == ["stored"]
