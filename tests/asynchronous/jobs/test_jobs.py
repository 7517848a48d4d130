"""``AppContextManager`` in coroutines: each block, task and thread has a context and a session of its own."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from flask import Flask, current_app, g, has_app_context, has_request_context
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from flask_safesession import AppContextManager, SafeSession, current_scope, session_manager
from flask_safesession.errors import (
    DetachedArgumentError,
    NoAppError,
    StaleContextError,
    UncommittedChangesWarning,
)

from ..scopes.conftest import MakeKit
from ..scopes.kit import AsyncKit

trace: ContextVar[str] = ContextVar("trace", default="none")
SELECT = text("SELECT 1")

# Every way to run one coroutine function in a context of its own.
Run = Callable[[AppContextManager, Callable[..., Awaitable[Any]]], Awaitable[Any]]


async def _block(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    async with manager as context:
        assert context.app.name == current_app.name
        return await fn()


async def _decorated(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    wrapped = manager(fn)
    assert inspect.iscoroutinefunction(wrapped)
    return await wrapped()


async def _task(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    return await manager.create_task(fn())


JOBS = (_decorated, _task)


@pytest.fixture(params=[_block, *JOBS], ids=lambda run: run.__name__[1:])
def run(request: pytest.FixtureRequest) -> Run:
    """Each way of running."""
    way: Run = request.param
    return way


@pytest.fixture(params=JOBS, ids=lambda run: run.__name__[1:])
def run_job(request: pytest.FixtureRequest) -> Run:
    """Each way of running in a task."""
    way: Run = request.param
    return way


# --- the context


async def test_a_session_and_a_context_of_its_own(kit: AsyncKit, run: Run) -> None:
    """Neither the caller's session nor its scope is there, and ``g`` is empty."""
    contexts: list[Any] = []

    async def look() -> list[str]:
        contexts.append((current_app.name, current_scope()))
        async with session_manager() as session:
            contexts.append(session)
            await session.execute(SELECT)
        return list(g)

    g.number = 1
    async with session_manager() as outer:
        await outer.execute(SELECT)
        assert await run(AppContextManager(kit.app), look) == []
    assert contexts[0] == (kit.app.name, None)
    assert contexts[1] is not outer
    assert (g.number, kit.checkedout()) == (1, 0)


async def test_the_app_is_that_of_the_caller(sqlite_kit: AsyncKit, run: Run) -> None:
    """A manager that was made without one finds it when it is used."""

    async def name() -> str:
        return current_app.name

    assert await run(AppContextManager(), name) == sqlite_kit.app.name


def test_no_app(run: Run) -> None:
    """Without an app and a context the error names the fix, and no coroutine is left that nobody awaits."""

    async def name() -> str:
        return current_app.name

    with pytest.raises(NoAppError, match=r"Give it the app: 'AppContextManager\(app\)'"):
        asyncio.run(run(AppContextManager(), name))  # type: ignore[arg-type]


async def test_contexts_do_not_leak(make_kit: MakeKit) -> None:
    """A hundred tasks that take turns: each sees its own ``g`` and session; nothing is there afterwards."""
    kit = make_kit(engine_options={"pool_timeout": 30})
    manager = AppContextManager(kit.app)
    sessions: set[int] = set()
    kept: list[Any] = []

    async def job(number: int) -> int:
        g.number = number
        await asyncio.sleep(0)
        async with session_manager() as session:
            kept.append(session)
            sessions.add(id(session))
            await session.execute(SELECT)
        await asyncio.sleep(0)
        found: int = g.number
        return found

    tasks = [manager.create_task(job(number)) for number in range(100)]
    assert await asyncio.gather(*tasks) == list(range(100))
    assert len(sessions) == 100
    assert not has_app_context()


async def test_variables_travel_and_do_not_come_back(sqlite_kit: AsyncKit, run_job: Run) -> None:
    """A trace id of the caller is there; the request is not."""

    async def look() -> tuple[str, bool]:
        found = trace.get()
        trace.set("changed")
        return found, has_request_context()

    token = trace.set("abc")
    with sqlite_kit.app.test_request_context():
        assert await run_job(AppContextManager(sqlite_kit.app), look) == ("abc", False)
    assert trace.get() == "abc"
    trace.reset(token)


async def test_values_of_g(sqlite_kit: AsyncKit, run: Run) -> None:
    """Just the named values are copied; a missing one is skipped."""

    async def look() -> dict[str, Any]:
        return {name: g.get(name) for name in g}

    g.user, g.other = "ann", "secret"
    manager = AppContextManager(propagate_g=("user", "missing"))
    assert await run(manager, look) == {"user": "ann"}


# --- the transaction


async def test_transactional(kit: AsyncKit, run: Run) -> None:
    """It commits before the caller sees a result; an error rolls back, and is the same object."""
    manager, error = AppContextManager(transactional=True), KeyError()

    async def store(name: str, error: BaseException | None = None) -> None:
        scope = current_scope()
        assert scope is not None
        async with session_manager(propagation="mandatory") as session:
            session.add(kit.Item(name=name))
            await session.flush()
        if error is not None:
            raise error

    await run(manager, functools.partial(store, "stored"))
    with pytest.raises(KeyError) as caught:
        await run(manager, functools.partial(store, "lost", error))
    assert (caught.value is error, kit.names(), kit.checkedout()) == (True, ["stored"], 0)


async def test_a_failed_commit(sqlite_kit: AsyncKit, run: Run) -> None:
    """It is the job's error, and the context has ended."""

    async def store() -> None:
        async with session_manager() as session:
            session.add_all([sqlite_kit.Item(name="a"), sqlite_kit.Item(name="a")])

    with pytest.raises(Exception, match="UNIQUE"):
        await run(AppContextManager(transactional=True), store)
    assert (sqlite_kit.names(), current_scope()) == ([], None)


async def test_an_error_is_its_own(kit: AsyncKit) -> None:
    """The other tasks go on, and commit."""
    manager = AppContextManager(transactional=True)

    async def store(number: int) -> None:
        async with session_manager() as session:
            session.add(kit.Item(name=f"item {number}"))
            await session.flush()
            if number == 1:
                raise KeyError

    tasks = [manager.create_task(store(number), name=f"store {number}") for number in range(3)]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [type(None), KeyError, type(None)]
    assert [task.get_name() for task in tasks] == ["store 0", "store 1", "store 2"]
    assert kit.names() == ["item 0", "item 2"]


async def test_a_cancelled_task(kit: AsyncKit) -> None:
    """Before it began, or inside its scope: nothing is stored, and nothing is left."""
    manager, begun = AppContextManager(transactional=True), asyncio.Event()

    async def store() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            await session.flush()
        begun.set()
        await asyncio.Event().wait()

    early, late = manager.create_task(store()), manager.create_task(store())
    early.cancel()
    await begun.wait()
    late.cancel()
    found = await asyncio.gather(early, late, return_exceptions=True)
    assert [type(each) for each in found] == [asyncio.CancelledError] * 2
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_a_cancelled_caller(sqlite_kit: AsyncKit) -> None:
    """What a decorated function does is cancelled with who waits for it."""
    begun, ended = asyncio.Event(), []

    @AppContextManager(sqlite_kit.app)
    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(current_app.name)
            raise

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [sqlite_kit.app.name]


async def test_changes_that_nobody_committed(sqlite_kit: AsyncKit) -> None:
    """They are reported with the name of the job."""

    async def forget() -> None:
        async with session_manager(propagation="supports") as session:
            session.add(sqlite_kit.Item(name="lost"))
            await session.flush()

    with pytest.warns(UncommittedChangesWarning, match=r"The context of the job 'tests\..*forget'"):
        await AppContextManager().create_task(forget())
    assert sqlite_kit.names() == []


# --- threads


async def test_to_thread(kit: AsyncKit) -> None:
    """A function that blocks has a context of its own, and no part of the scope around it."""
    seen: list[Any] = []

    def look(name: Any) -> str:
        seen.append((current_scope(), list(g)))
        return f"{name} in {current_app.name}"

    g.number = 1
    async with session_manager() as session:
        await session.execute(SELECT)
        assert await AppContextManager().to_thread(look, "x") == f"x in {kit.app.name}"
        with pytest.raises(DetachedArgumentError):
            await AppContextManager().to_thread(look, session)
    assert seen == [(None, [])]


# --- bad input


async def test_arguments_that_belong_to_the_caller(sqlite_kit: AsyncKit, run_job: Run) -> None:
    """Instances and sessions are refused where the task is made; what a function closes over is its own affair."""

    async def work(given: Any, *more: Any, **named: Any) -> None:
        await asyncio.sleep(0)

    item = sqlite_kit.Item(name="a")
    async with session_manager() as session:
        given: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((item,), {}),
            ((1, [item]), {}),
            ((1,), {"key": item}),
            ((session,), {}),
        ]
        for args, kwargs in given:
            call = functools.partial(work, *args, **kwargs)
            with pytest.raises(DetachedArgumentError, match=r"to '.*work' in the argument '"):
                await run_job(AppContextManager(), call)
    assert item.name == "a"


@pytest.mark.parametrize("instances", ["raise", "reload"])
async def test_a_value_of_g_is_an_argument(
    sqlite_kit: AsyncKit, run_job: Run, instances: Any
) -> None:
    """What ``propagate_g`` takes along is refused: nothing is loaded for a coroutine, which once got the bare key."""

    async def work() -> Any:
        return g.user

    manager = AppContextManager(propagate_g=("user",), instances=instances)
    async with session_manager() as session:
        session.add(item := sqlite_kit.Item(name="a"))
        await session.flush()
        g.user = item
        with pytest.raises(
            DetachedArgumentError,
            match=r"in the argument 'g\.user'.*key and load it in the coroutine",
        ):
            await run_job(manager, work)


async def test_what_is_no_coroutine(sqlite_kit: AsyncKit) -> None:
    """A function that was not called, above all."""

    async def work() -> None: ...

    with pytest.raises(TypeError, match="which is no coroutine, or one that has"):
        AppContextManager().create_task(work)  # type: ignore[arg-type]
    await (done := work())
    with pytest.raises(TypeError, match="which is no coroutine, or one that has"):
        AppContextManager().create_task(done)


def test_no_event_loop(make_kit: MakeKit) -> None:
    """The error names the way of a thread, and no coroutine is left that nobody awaits."""

    async def work() -> None: ...

    with pytest.raises(
        RuntimeError, match=r"'test_no_event_loop' .* called 'create_task\(\)' wher"
    ):
        AppContextManager(make_kit().app).create_task(work())


async def test_a_block_that_is_left_out_of_order(sqlite_kit: AsyncKit) -> None:
    """Contexts are left from the inside out."""
    outer, inner = AppContextManager(), AppContextManager()
    await outer.__aenter__()
    await inner.__aenter__()
    with pytest.raises(StaleContextError, match="is not the innermost one"):
        await outer.__aexit__(None, None, None)
    await inner.__aexit__(None, None, None)
    await outer.__aexit__(None, None, None)


def test_a_block_whose_scope_cannot_be_opened() -> None:
    """Its context is gone before the error comes out."""
    app = Flask("blocking")
    SafeSession(app, sessionmaker(create_engine("sqlite://")))

    async def work() -> None:
        async with AppContextManager(app, transactional=True):
            raise AssertionError

    async def main() -> bool:
        with pytest.raises(NoAppError, match="blocking ones only"):
            await work()
        return has_app_context()

    assert not asyncio.run(main())
