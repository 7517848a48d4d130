"""``SAFESESSION_TRANSACTIONAL_VIEWS`` and coroutine functions: every view is in a scope, except the exempt ones."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Blueprint, Flask, abort, redirect, stream_with_context
from flask.views import MethodView, View

from flask_safesession import (
    SafeSession,
    current_scope,
    non_transactional,
    session_manager,
    transactional,
)

from ...test_transactional_views import Respond
from .conftest import MakeKit
from .kit import AsyncKit, current_session


@pytest.fixture
def kit(make_kit: MakeKit) -> AsyncKit:
    """A kit whose views are all transactional."""
    return make_kit(options={"transactional_views": True})


def _view(kit: AsyncKit, respond: Respond) -> Callable[..., Any]:

    async def view(*_: Any, **__: Any) -> Any:
        (await current_session()).add(kit.Item(name="a"))
        return respond()

    return view


async def _scope_name() -> str:
    scope = current_scope()
    return "none" if scope is None else scope.name


async def _exempt() -> str:
    return await _scope_name()


@pytest.mark.parametrize(
    ("respond", "names"),
    [
        (lambda: "ok", ["a"]),
        (lambda: ("", 201), ["a"]),
        (lambda: redirect("/elsewhere"), ["a"]),
        (lambda: abort(redirect("/elsewhere")), ["a"]),
        (lambda: ("", 409), []),
        (lambda: abort(404), []),
    ],
    ids=["text", "201", "redirect", "raised redirect", "409", "abort"],
)
def test_a_plain_view_is_under_the_rule(kit: AsyncKit, respond: Respond, names: list[str]) -> None:
    """A view without a decorator commits and rolls back by its response."""
    kit.app.add_url_rule("/", view_func=_view(kit, respond))
    kit.client.get("/")
    assert kit.names() == names


def test_each_request_has_a_scope_of_its_own(kit: AsyncKit) -> None:
    """A view is wrapped once, and its scope has its name at every request."""
    kit.app.add_url_rule("/", "index", view_func=_scope_name)
    answers = [kit.client.get("/").text for _ in range(3)]
    wrapped = kit.app.view_functions["index"]
    assert (answers, kit.client.get("/").text) == (["_scope_name"] * 3, "_scope_name")
    assert kit.app.view_functions["index"] is wrapped


def test_views_that_are_registered_late(kit: AsyncKit) -> None:
    """A blueprint registered after ``init_app`` is wrapped too."""
    blueprint = Blueprint("late", __name__)
    blueprint.add_url_rule("/", "index", _scope_name)
    kit.app.register_blueprint(blueprint, url_prefix="/late")
    assert kit.client.get("/late/").text == "_scope_name"


def test_a_method_view(kit: AsyncKit) -> None:
    """The methods of a class are wrapped, and bear the name of the endpoint."""
    items: Any = type("Items", (MethodView,), {"post": _view(kit, lambda: ("", 422))})
    kit.app.add_url_rule("/", view_func=items.as_view("items"))
    assert (kit.client.post("/").status_code, kit.names()) == (422, [])


def test_a_bound_method_is_a_view(kit: AsyncKit) -> None:
    """A method of an object can be a view."""

    class Pages:
        async def index(self) -> str:
            return await _scope_name()

    kit.app.add_url_rule("/", view_func=Pages().index)
    assert kit.client.get("/").text == "index"


def test_an_exempt_function(kit: AsyncKit) -> None:
    """``@non_transactional`` leaves a view without a scope."""
    kit.app.add_url_rule("/", view_func=non_transactional(_exempt))
    assert kit.client.get("/").text == "none"


def _awaiting(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def wrapped() -> Any:
        return await fn()

    return wrapped


def test_an_exempt_view_below_another_decorator(kit: AsyncKit) -> None:
    """The mark is found through ``functools.wraps``."""

    @non_transactional
    async def view() -> str:
        return await _scope_name()

    kit.app.add_url_rule("/", view_func=_awaiting(view))
    assert kit.client.get("/").text == "none"


def test_an_exempt_view_commits_by_hand(kit: AsyncKit) -> None:
    """An exempt view may end its transactions itself."""

    @kit.app.route("/")
    @non_transactional
    async def view() -> Any:
        async with session_manager(propagation="supports") as session:
            session.add(kit.Item(name="a"))
            await session.commit()
        return "", 500

    assert (kit.client.get("/").status_code, kit.names()) == (500, ["a"])


class _Mixed(MethodView):
    async def get(self) -> str:
        return await _scope_name()

    @non_transactional
    async def post(self) -> str:
        return await _scope_name()

    @transactional(name="mine")
    async def put(self) -> str:
        return await _scope_name()


@pytest.mark.parametrize(("method", "name"), [("GET", "get"), ("POST", "none"), ("PUT", "mine")])
def test_the_methods_of_a_class_decide_for_themselves(
    kit: AsyncKit, method: str, name: str
) -> None:
    """One method may be exempt and another have its own ``@transactional``."""
    kit.app.add_url_rule("/", view_func=_Mixed.as_view("items"))
    assert kit.client.open("/", method=method).text == name


def test_an_exempt_class(kit: AsyncKit) -> None:
    """``decorators = [non_transactional]`` exempts a class."""

    class Page(View):
        decorators: ClassVar = [non_transactional]

        async def dispatch_request(self) -> str:  # type: ignore[override]
            return await _scope_name()

    kit.app.add_url_rule("/", view_func=Page.as_view("page"))
    assert kit.client.get("/").text == "none"


def test_a_decorated_view_keeps_its_options(kit: AsyncKit) -> None:
    """A view with its own ``@transactional`` is not wrapped again."""
    view = transactional(rollback_on_status=500)(_view(kit, lambda: ("", 404)))
    kit.app.add_url_rule("/", view_func=view)
    assert (kit.client.get("/").status_code, kit.names()) == (404, ["a"])


def test_the_method_of_an_extension_marks_a_view(kit: AsyncKit) -> None:
    """``safe.non_transactional`` is the same decorator."""
    kit.app.add_url_rule("/", view_func=kit.safe.non_transactional(_exempt))
    assert kit.client.get("/").text == "none"


def _coroutine_view() -> Callable[..., Any]:

    async def view() -> str:
        return "answer"

    return view


def _generator_view() -> Callable[..., Any]:

    async def view() -> AsyncIterator[str]:
        yield "answer"

    return view


def test_a_view_that_cannot_be_wrapped(kit: AsyncKit) -> None:
    """The message names the view, the setting and the way out."""
    kit.app.add_url_rule("/", view_func=_generator_view())
    with pytest.raises(TypeError) as caught:
        kit.client.get("/")
    text = str(caught.value)
    assert "_generator_view.<locals>.view', which is a" in text
    assert "SAFESESSION_TRANSACTIONAL_VIEWS" in text
    assert "@non_transactional" in text


def test_what_cannot_be_wrapped_can_be_exempt(kit: AsyncKit) -> None:
    """An exempt coroutine runs as Flask runs it."""
    kit.app.add_url_rule("/", view_func=non_transactional(_coroutine_view()))
    assert kit.client.get("/").text == "answer"


def test_a_streaming_body_is_outside(kit: AsyncKit) -> None:
    """The body of a wrapped view, which is no coroutine, finds no scope."""
    seen: list[str] = []

    def body() -> Iterator[str]:
        scope = current_scope()
        seen.append("none" if scope is None else scope.name)
        yield "streamed"

    kit.app.add_url_rule("/", "stream", _view(kit, lambda: stream_with_context(body())))
    assert (kit.client.get("/").text, seen) == ("streamed", ["none"])
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_a_path_without_a_view(kit: AsyncKit) -> None:
    """404 and 405 are Flask's own."""
    kit.app.add_url_rule("/", view_func=_scope_name)
    assert (kit.client.get("/no").status_code, kit.client.post("/").status_code) == (404, 405)


def test_static_files(kit: AsyncKit, tmp_path: Path) -> None:
    """Flask's own view of them is no coroutine: it has no scope in an app that has async sessions only."""
    (tmp_path / "a.txt").write_text("content")
    kit.app.static_folder = str(tmp_path)
    answer = kit.client.get("/static/a.txt")
    assert (answer.text, kit.checkedout()) == ("content", 0)
    answer.close()
    assert kit.client.get("/static/b.txt").status_code == 404


def test_views_join_no_other_context(kit: AsyncKit) -> None:
    """A request has its own context and so its own scope, beside one that waits."""
    kit.app.add_url_rule("/", view_func=_view(kit, lambda: "ok"))

    async def main() -> str:
        async with session_manager(name="outer"):
            answer = await asyncio.to_thread(kit.client.get, "/")
            assert await _scope_name() == "outer"
        return answer.text

    with kit.app.app_context():
        assert asyncio.run(main()) == "ok"
    assert kit.names() == ["a"]


def test_without_the_setting_views_are_left_alone(sqlite_kit: AsyncKit) -> None:
    """The default wraps nothing."""
    sqlite_kit.app.add_url_rule("/", "index", _scope_name)
    assert sqlite_kit.client.get("/").text == "none"
    assert sqlite_kit.app.view_functions["index"] is _scope_name


def test_one_extension_for_two_apps(make_kit: MakeKit) -> None:
    """The setting belongs to the app: of two apps with one extension only one has it."""
    safe = SafeSession()
    apps = [Flask("wrapped"), Flask("plain")]
    apps[0].config["SAFESESSION_TRANSACTIONAL_VIEWS"] = True
    for app in apps:
        safe.init_app(app, make_kit().db)
        app.add_url_rule("/", view_func=_scope_name)
    answers = [app.test_client().get("/").text for app in apps]
    assert answers == ["_scope_name", "none"]


def test_a_plain_dispatch_request_is_outside_of_the_scope(kit: AsyncKit) -> None:
    """The scope is that of the coroutine method alone, whose answer decides."""
    seen: list[Any] = []

    class Items(MethodView):
        def dispatch_request(self, **kwargs: Any) -> Any:
            seen.append(current_scope())
            answer = super().dispatch_request(**kwargs)
            seen.append(current_scope())
            return answer, 409

        async def get(self) -> str:
            (await current_session()).add(kit.Item(name="a"))
            return "stored"

    kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert (kit.client.get("/").status_code, seen, kit.names()) == (409, [None, None], ["a"])
