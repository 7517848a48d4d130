"""Jobs that run at once where coroutines ask for them: as in a thread of their own, which has no event loop yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_safesession import AppContextManager, on_commit, run_in_phases, session_manager
from flask_safesession.testing import RollbackIsolation, inline_jobs
from tests.plugin.test_inline_messages import KIT, WAYS, Send, seen

from ..conftest import Wanted
from ..kit import Kit, MakeKit
from .sessions import run
from .test_rolled_back import add, names
from .test_sources import ASYNC_URLS, async_url


@pytest.fixture(params=ASYNC_URLS, ids=lambda each: each[1])
def kit(request: pytest.FixtureRequest, make_kit: MakeKit, wanted: Wanted) -> Iterator[Kit]:
    """An app on each database through each async driver, in a test that is rolled back."""
    name, driver = request.param
    url = async_url(wanted.get(name), driver)
    kit = make_kit(name, config={"SAFESESSION_ASYNC_ENGINES": {None: url}})
    with inline_jobs(), RollbackIsolation(kit.app, patience=1.0):
        yield kit


def submit(kit: Kit, fn: Callable[[], Any]) -> Any:
    """What a job makes of it."""
    return AppContextManager(kit.app).executor(1).submit(fn).result()


def test_a_job_with_an_event_loop(kit: Kit) -> None:
    """It runs its own, and that of the caller goes on."""

    async def main() -> list[str]:
        submit(kit, lambda: asyncio.run(add(kit, "a")))
        await asyncio.sleep(0)
        assert asyncio.current_task() is not None
        return await names(kit)

    assert run(kit, main) == ["a"]


def test_a_job_inside_a_transaction(kit: Kit) -> None:
    """That of the caller makes room, as it goes on only after the job."""

    async def main() -> list[str]:
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            await session.flush()
            submit(kit, lambda: asyncio.run(add(kit, "b")))
        return await names(kit)

    assert run(kit, main) == ["a", "b"]


def test_a_job_of_a_hook(kit: Kit) -> None:
    """A thread that the hook of an async scope starts, and a job of its own hook in turn."""
    manager = AppContextManager(kit.app)

    async def second() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="b"))
            on_commit(manager.executor(1).submit, lambda: asyncio.run(add(kit, "c")))

    async def main() -> list[str]:
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            on_commit(manager.thread(lambda: asyncio.run(second())).start)
        return await names(kit)

    assert run(kit, main) == ["a", "b", "c"]


def test_a_job_of_a_callback(kit: Kit) -> None:
    """The event loop calls it outside of any task."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(lambda: done.set_result(submit(kit, lambda: asyncio.run(add(kit, "a")))))
        await done
        return await names(kit)

    assert run(kit, main) == ["a"]


def test_phases_and_tasks(kit: Kit) -> None:
    """Coroutine phases run in a job, and tasks beside it."""

    async def prepare(session: Any) -> str:
        session.add(kit.Item(name="a"))
        return "b"

    async def execute(name: str) -> str:
        await asyncio.sleep(0)
        return name

    async def record(session: Any, result: Any) -> None:
        session.add(kit.Item(name=result.value))

    async def phases() -> None:
        await run_in_phases(prepare, execute, record)

    async def main() -> list[str]:
        task = AppContextManager(kit.app).create_task(add(kit, "c"))
        submit(kit, lambda: asyncio.run(phases()))
        await task
        return await names(kit)

    assert run(kit, main) == ["a", "b", "c"]


def test_the_error_of_a_job(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """The log has it, as nobody may ask for the result; the caller's loop goes on."""

    async def main() -> list[str]:
        with pytest.raises(ZeroDivisionError):
            submit(kit, lambda: 1 / 0)
        await add(kit, "a")
        return await names(kit)

    assert run(kit, main) == ["a"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("prepare", WAYS)
def test_a_job_that_an_async_scope_sends(sqlite_kit: Kit, prepare: Callable[[Kit], Send]) -> None:
    """It runs after the COMMIT, with a session of its own, and sees what was stored."""
    kit = sqlite_kit
    kit.app.extensions[KIT] = (kit, [])
    send = prepare(kit)

    async def main() -> None:
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            send("b")
            assert seen(kit) == []

    with inline_jobs():
        run(kit, main)
    assert [(name, stored) for name, _, stored in seen(kit)] == [("b", ["a"])]
    assert kit.names() == ["a", "b"]
