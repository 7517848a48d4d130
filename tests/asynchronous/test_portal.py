"""``SAFESESSION_ASYNC_PORTAL``: one loop for all async views of a process."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import traceback
from typing import Any

import pytest
from flask import Response, abort, after_this_request, g, request

from flask_safesession import session_manager
from flask_safesession._async import portal

from ..kit import Kit, MakeKit
from .sessions import Census, store
from .test_loops import pid

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


@pytest.fixture
def kit(make_kit: MakeKit) -> Kit:
    """An app on PostgreSQL whose async views run on the portal."""
    return make_kit("postgresql-psycopg2", config={"SAFESESSION_ASYNC_PORTAL": True})


def test_one_connection(kit: Kit) -> None:
    """Each request has the connection of the one before; the loop ends with it."""
    census = Census(kit)

    @kit.app.get("/")
    async def view() -> str:
        return str(await pid(kit))

    assert len({kit.client.get("/").text for _ in range(3)}) == 1
    assert census.count(1) == 1
    portal._process.stop()
    assert census.count() == 0


def test_the_context_of_the_request(kit: Kit) -> None:
    """``request``, ``g`` and what comes after the request are those of the view's own thread."""

    @kit.app.get("/<name>")
    async def view(name: str) -> str:
        await store(kit, name)
        g.name = name

        @after_this_request
        def add(response: Response) -> Response:
            response.headers["X-Name"] = g.name
            return response

        return f"{request.path} {threading.current_thread().name}"

    answer = kit.client.get("/a")
    assert (answer.text, answer.headers["X-Name"]) == ("/a flask_safesession portal", "a")
    assert kit.names() == ["a"]


def test_context_variables(kit: Kit) -> None:
    """They reach the function, what it sets comes back, and nothing else does."""

    async def change() -> str:
        before = VARIABLE.get()
        VARIABLE.set("after")
        return before

    def main() -> tuple[str, str, int]:
        VARIABLE.set("before")
        count = len(contextvars.copy_context())
        with kit.app.app_context():
            returned = kit.app.ensure_sync(change)()
        return returned, VARIABLE.get(), len(contextvars.copy_context()) - count

    assert contextvars.copy_context().run(main) == ("before", "after", 0)


def test_an_error(kit: Kit) -> None:
    """It comes with the lines that it was raised at."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        kit.app.async_to_sync(fail)()
    assert "fail" in [each.name for each in traceback.extract_tb(caught.value.__traceback__)]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_error_that_is_none(error: type[BaseException], kit: Kit) -> None:
    """It is raised where the caller waits, and does not end the portal for others."""

    async def end() -> None:
        raise error

    async def go_on() -> int:
        return 1

    with pytest.raises(error):
        kit.app.async_to_sync(end)()
    assert kit.app.async_to_sync(go_on)() == 1


def test_abort(kit: Kit) -> None:
    """As in any view."""

    @kit.app.get("/")
    async def view() -> str:
        abort(418)

    assert kit.client.get("/").status_code == 418


def test_a_caller_that_is_interrupted(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the coroutine any more: it is cancelled."""
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    begun = portal._process.get().start_task_soon

    class Interrupted:
        def __init__(self, future: Any) -> None:
            self.cancel = future.cancel

        def result(self) -> None:
            raise KeyboardInterrupt

    started: Any = lambda *args: Interrupted(begun(*args))  # noqa: E731
    monkeypatch.setattr(portal._process.get(), "start_task_soon", started)
    with pytest.raises(KeyboardInterrupt):
        kit.app.async_to_sync(wait)()
    assert ended.wait(20)


def test_a_call_inside_a_loop(kit: Kit) -> None:
    """It would stop the loop that it waits for."""

    @kit.app.get("/")
    async def view() -> str:
        with pytest.raises(RuntimeError, match=r"'store' is a coroutine function.*Write 'await'"):
            kit.app.ensure_sync(store)(kit, "a")
        return ""

    assert kit.client.get("/").status_code == 200


def test_the_blocking_session(kit: Kit) -> None:
    """The view uses the sessions of the thread that waits for it, as without the portal."""

    @kit.app.get("/")
    async def view() -> str:
        with session_manager() as session:
            session.add(kit.Item(name="a"))
        return ""

    assert (kit.client.get("/").status_code, kit.names()) == (200, ["a"])


def test_many_threads(kit: Kit) -> None:
    """They start one portal, and share its pool."""

    @kit.app.get("/")
    async def view() -> str:
        return str(await pid(kit))

    turn = threading.Barrier(8)
    found: list[str] = []

    def work() -> None:
        client = kit.client
        turn.wait(20)
        found.extend(client.get("/").text for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert (len(found), len(set(found)) <= 8) == (40, True)
    named = [each for each in threading.enumerate() if each.name == "flask_safesession portal"]
    assert len(named) == 1
