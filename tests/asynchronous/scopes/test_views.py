"""Asynchronous views: their response decides, as that of others does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Response, abort, redirect, stream_with_context
from flask.views import MethodView, View
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.test import TestResponse

from flask_safesession import (
    current_scope,
    errors,
    non_transactional,
    on_commit,
    session_manager,
    transactional,
)

from .conftest import MakeKit
from .kit import AsyncKit

ENDS: dict[str, tuple[Callable[[], Any], int, bool]] = {
    "text": (lambda: "ok", 200, True),
    "created": (lambda: ("ok", 201), 201, True),
    "redirect": (lambda: redirect("/elsewhere"), 302, True),
    "abort": (lambda: abort(409), 409, False),
    "status": (lambda: ("no", 400), 400, False),
    "response": (lambda: Response("no", status=503), 503, False),
    "dict": (lambda: ({"a": 1}, 200), 200, True),
    "aborted redirect": (lambda: abort(redirect("/elsewhere")), 302, True),
}


async def _store(kit: AsyncKit, name: str = "item") -> None:
    async with session_manager() as session:
        session.add(kit.Item(name=name))
        await session.flush()


def _get(kit: AsyncKit, view: Callable[..., Any], path: str = "/") -> TestResponse:
    kit.app.add_url_rule("/", view_func=view)
    return kit.app.test_client().get(path)


@pytest.mark.parametrize(("end", "status", "stores"), ENDS.values(), ids=ENDS)
def test_the_response_decides(
    kit: AsyncKit, end: Callable[[], Any], status: int, stores: bool
) -> None:
    """A status of 400 or more rolls back, however it is given."""

    @transactional
    async def view() -> Any:
        await _store(kit)
        return end()

    assert _get(kit, view).status_code == status
    assert (kit.names(), kit.checkedout()) == (["item"] if stores else [], 0)


@pytest.mark.parametrize(("end", "status", "stores"), ENDS.values(), ids=ENDS)
def test_all_views(make_kit: MakeKit, end: Callable[[], Any], status: int, stores: bool) -> None:
    """The same by ``SAFESESSION_TRANSACTIONAL_VIEWS``."""
    kit = make_kit(options={"transactional_views": True})

    async def view() -> Any:
        assert current_scope() is not None
        await _store(kit)
        return end()

    assert _get(kit, view).status_code == status
    assert kit.names() == (["item"] if stores else [])


def test_a_view_that_is_exempt(make_kit: MakeKit) -> None:
    """It has no scope but its own."""
    kit = make_kit(options={"transactional_views": True})

    @non_transactional
    async def view() -> str:
        assert current_scope() is None
        return "ok"

    assert _get(kit, view).text == "ok"


def test_an_exception_rolls_back(kit: AsyncKit) -> None:
    """And reaches Flask's error handlers as it is."""
    kit.app.register_error_handler(KeyError, lambda _: ("handled", 418))

    @transactional
    async def view() -> str:
        await _store(kit)
        raise KeyError

    assert (_get(kit, view).status_code, kit.names()) == (418, [])


def test_a_failing_commit_reaches_the_error_handlers(sqlite_kit: AsyncKit) -> None:
    """It comes before the response is sent."""

    @transactional
    async def view() -> str:
        async with session_manager() as session:
            session.add_all([sqlite_kit.Item(name="same"), sqlite_kit.Item(name="same")])
        return "stored"

    sqlite_kit.app.register_error_handler(IntegrityError, lambda _: ("handled", 409))
    assert (_get(sqlite_kit, view).status_code, sqlite_kit.names()) == (409, [])


def test_commit_on_and_the_lowest_status(sqlite_kit: AsyncKit) -> None:
    """The options of ``@transactional`` count as for other views."""

    @transactional(rollback_on_status=500)
    async def view() -> tuple[str, int]:
        await _store(sqlite_kit)
        return "not found, and noted", 404

    assert (_get(sqlite_kit, view).status_code, sqlite_kit.names()) == (404, ["item"])


def test_hooks_of_a_view(sqlite_kit: AsyncKit) -> None:
    """They run before the response is sent, and may be coroutine functions."""
    ran: list[str] = []

    async def note() -> None:
        ran.append("coroutine")

    @transactional
    async def view() -> str:
        await _store(sqlite_kit)
        on_commit(ran.append, "function")
        on_commit(note)
        return "ok"

    assert (_get(sqlite_kit, view).text, ran) == ("ok", ["function", "coroutine"])


class _Items(MethodView):
    kit: AsyncKit

    @transactional
    async def get(self) -> tuple[str, int]:
        await _store(self.kit)
        return "no", 400


def test_a_method_of_a_class(sqlite_kit: AsyncKit) -> None:
    """The status rule is for it as well."""

    class Items(_Items):
        kit = sqlite_kit

    assert (_get(sqlite_kit, Items.as_view("items")).status_code, sqlite_kit.names()) == (400, [])


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("base", [MethodView, View])
@pytest.mark.parametrize("every", [True, False])
def test_the_methods_of_all_classes(
    make_kit: MakeKit, base: type[View], every: bool, case: tuple[Callable[[], Any], int, bool]
) -> None:
    """The scope of ``SAFESESSION_TRANSACTIONAL_VIEWS`` is around the coroutine, whose response decides."""
    kit = make_kit(options={"transactional_views": True})
    scopes: list[Any] = []
    end, status, stores = case

    async def answer(_: View) -> Any:
        scopes.append(current_scope())
        await _store(kit, f"item {len(scopes)}")
        return end()

    method = "get" if base is MethodView else "dispatch_request"
    body = {method: answer, "init_every_request": every, "decorators": [_unchanged]}
    items: Any = type("Items", (base,), body)
    view = items.as_view("items")
    assert [_get(kit, view).status_code, kit.app.test_client().head("/").status_code] == [
        status
    ] * 2
    assert [each.name for each in scopes] == ["answer"] * 2
    assert (kit.names(), kit.checkedout()) == (["item 1", "item 2"] if stores else [], 0)


def _unchanged(view: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(view)(lambda **arguments: view(**arguments))


def test_the_methods_of_one_class_differ(make_kit: MakeKit) -> None:
    """One has the scope of the setting, one its own, one none."""
    kit = make_kit(options={"transactional_views": True})

    class Items(MethodView):
        async def get(self) -> str:
            return self.scope()

        @transactional(name="mine")
        async def put(self) -> str:
            return self.scope()

        @non_transactional
        async def post(self) -> str:
            return self.scope()

        def scope(self) -> str:
            scope = current_scope()
            return "none" if scope is None else f"{scope.name}, {scope.depth}"

    kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    client = kit.app.test_client()
    answers = [client.open("/", method=each).text for each in ("GET", "PUT", "POST")]
    assert answers == ["get, 1", "mine, 1", "none"]


def test_other_coroutine_methods_have_no_scope(make_kit: MakeKit) -> None:
    """Such as a method that is a function of another view, or of the app."""
    kit = make_kit(options={"transactional_views": True})
    scopes: list[Any] = []

    class Items(MethodView):
        async def get(self) -> str:
            return "ok"

        async def check(self) -> None:
            scopes.append(current_scope())

    kit.app.before_request(Items().check)
    assert (_get(kit, Items.as_view("items")).text, scopes) == ("ok", [None])
    assert kit.app.test_client().get("/unknown").status_code == 404
    kit.app.ensure_sync(Items().check)()
    assert scopes == [None] * 3


def test_two_requests_have_sessions_of_their_own(kit: AsyncKit) -> None:
    """Each has a context, a task and a loop; connections do not go from one to the other."""
    sessions: list[Any] = []

    @transactional
    async def view() -> str:
        async with session_manager() as session:
            sessions.append(session)
            return str(len((await session.scalars(select(kit.Item))).all()))

    kit.app.add_url_rule("/", view_func=view)
    client = kit.app.test_client()
    assert [client.get("/").text for _ in range(3)] == ["0", "0", "0"]
    assert len({id(each) for each in sessions}) == 3
    assert kit.checkedout() == 0


def test_a_body_that_streams(sqlite_kit: AsyncKit) -> None:
    """The transaction of the view is over when it runs."""
    seen: list[Any] = []

    def body() -> Iterator[str]:
        seen.append(current_scope())
        yield "streamed"

    @transactional
    async def view() -> Response:
        await _store(sqlite_kit)
        return Response(stream_with_context(body()))

    assert (_get(sqlite_kit, view).text, seen) == ("streamed", [None])
    assert sqlite_kit.names() == ["item"]


def test_a_synchronous_scope_in_an_app_without_such_sessions(sqlite_kit: AsyncKit) -> None:
    """The error says what to write instead."""

    async def view() -> str:
        with session_manager():
            return "never"

    with pytest.raises(errors.NoAppError, match=r"'async_sessionmaker' only\. Write 'async with"):
        _get(sqlite_kit, view)
