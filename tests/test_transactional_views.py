"""`SAFESESSION_TRANSACTIONAL_VIEWS`: each view in a scope of its own, but for those that decide for themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, abort, redirect, stream_with_context
from flask.views import MethodView, View
from sqlalchemy import select

from flask_safesession import (
    SafeSession,
    current_scope,
    non_transactional,
    session_manager,
    transactional,
)
from flask_safesession.errors import NoTransactionError

from .kit import Kit, MakeKit

Respond = Callable[[], Any]


@pytest.fixture
def kit(make_kit: MakeKit) -> Kit:
    """A SQLite file and an app whose views are all transactional."""
    return make_kit(config={"SAFESESSION_TRANSACTIONAL_VIEWS": True})


def _view(kit: Kit, respond: Respond) -> Callable[..., Any]:
    def view(*_: Any, **__: Any) -> Any:
        kit.db.session.add(kit.Item(name="a"))
        return respond()

    return view


def _scope_name() -> str:
    scope = current_scope()
    return "none" if scope is None else scope.name


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
def test_a_plain_view_is_under_the_rule(kit: Kit, respond: Respond, names: list[str]) -> None:
    """A view without a decorator commits and rolls back by its response."""
    kit.app.add_url_rule("/", view_func=_view(kit, respond))
    kit.client.get("/")
    assert kit.names() == names


@pytest.mark.parametrize("status", [200, 400])
def test_the_rule_holds_on_each_database(make_kit: MakeKit, database: Any, status: int) -> None:
    """The option works as the setting does, on the three databases."""
    kit = make_kit(database, options={"transactional_views": True})
    kit.app.add_url_rule("/", view_func=_view(kit, lambda: ("", status)))
    assert kit.client.get("/").status_code == status
    assert kit.names() == (["a"] if status == 200 else [])


def test_an_exception_rolls_back(kit: Kit) -> None:
    """What a view raises reaches the error handlers, and nothing is stored."""

    def respond() -> Any:
        raise ValueError("no")

    kit.app.register_error_handler(ValueError, lambda _: ("handled", 200))
    kit.app.add_url_rule("/", view_func=_view(kit, respond))
    assert (kit.client.get("/").text, kit.names()) == ("handled", [])


def test_each_request_has_a_scope_of_its_own(kit: Kit) -> None:
    """A view is wrapped once, and its scope has its name at every request."""
    kit.app.add_url_rule("/", "index", view_func=_scope_name)
    answers = [kit.client.get("/").text for _ in range(3)]
    wrapped = kit.app.view_functions["index"]
    assert (answers, kit.client.get("/").text) == (["_scope_name"] * 3, "_scope_name")
    assert kit.app.view_functions["index"] is wrapped


def test_views_that_are_registered_late(kit: Kit) -> None:
    """A blueprint registered after ``init_app`` is wrapped too."""
    blueprint = Blueprint("late", __name__)
    blueprint.add_url_rule("/", "index", _scope_name)
    kit.app.register_blueprint(blueprint, url_prefix="/late")
    assert kit.client.get("/late/").text == "_scope_name"


def test_a_method_view(kit: Kit) -> None:
    """The methods of a class are wrapped, and bear the name of the endpoint."""
    items: Any = type("Items", (MethodView,), {"post": _view(kit, lambda: ("", 422))})
    kit.app.add_url_rule("/", view_func=items.as_view("items"))
    assert (kit.client.post("/").status_code, kit.names()) == (422, [])


def test_a_bound_method_is_a_view(kit: Kit) -> None:
    """A method of an object can be a view."""

    class Pages:
        def index(self) -> str:
            return _scope_name()

    kit.app.add_url_rule("/", view_func=Pages().index)
    assert kit.client.get("/").text == "index"


def test_an_exempt_function(kit: Kit) -> None:
    """``@non_transactional`` leaves a view without a scope."""
    kit.app.add_url_rule("/", view_func=non_transactional(lambda: _scope_name()))
    assert kit.client.get("/").text == "none"


def test_an_exempt_view_below_another_decorator(kit: Kit) -> None:
    """The mark is found through ``functools.wraps``."""

    @non_transactional
    def view() -> str:
        return _scope_name()

    kit.app.add_url_rule("/", view_func=functools.wraps(view)(lambda: view()))
    assert kit.client.get("/").text == "none"


def test_an_exempt_view_commits_by_hand(kit: Kit) -> None:
    """An exempt view may end its transactions itself."""

    @kit.app.route("/")
    @non_transactional
    def view() -> Any:
        kit.db.session.add(kit.Item(name="a"))
        kit.db.session.commit()
        return "", 500

    assert (kit.client.get("/").status_code, kit.names()) == (500, ["a"])


class _Mixed(MethodView):
    def get(self) -> str:
        return _scope_name()

    @non_transactional
    def post(self) -> str:
        return _scope_name()

    @transactional(name="mine")
    def put(self) -> str:
        return _scope_name()


@pytest.mark.parametrize(("method", "name"), [("GET", "items"), ("POST", "none"), ("PUT", "mine")])
def test_the_methods_of_a_class_decide_for_themselves(kit: Kit, method: str, name: str) -> None:
    """One method may be exempt and another have its own ``@transactional``."""
    kit.app.add_url_rule("/", view_func=_Mixed.as_view("items"))
    assert kit.client.open("/", method=method).text == name


def test_an_exempt_class(kit: Kit) -> None:
    """``decorators = [non_transactional]`` exempts a class."""

    class Page(View):
        decorators = [non_transactional]  # noqa: RUF012 - as Flask's documentation writes it

        def dispatch_request(self) -> str:
            return _scope_name()

    kit.app.add_url_rule("/", view_func=Page.as_view("page"))
    assert kit.client.get("/").text == "none"


def test_a_decorated_view_keeps_its_options(kit: Kit) -> None:
    """A view with its own ``@transactional`` is not wrapped again."""
    view = transactional(rollback_on_status=500)(_view(kit, lambda: ("", 404)))
    kit.app.add_url_rule("/", view_func=view)
    assert (kit.client.get("/").status_code, kit.names()) == (404, ["a"])


def test_the_method_of_an_extension_marks_a_view(kit: Kit) -> None:
    """``safe.non_transactional`` is the same decorator."""
    kit.app.add_url_rule("/", view_func=kit.safe.non_transactional(lambda: _scope_name()))
    assert kit.client.get("/").text == "none"


def _coroutine_view() -> Callable[..., Any]:
    async def view() -> str:
        return "answer"

    return view


def _generator_view() -> Callable[..., Any]:
    def view() -> Iterator[str]:
        yield "answer"

    return view


def test_a_view_that_cannot_be_wrapped(kit: Kit) -> None:
    """The message names the view, the setting and the way out."""
    kit.app.add_url_rule("/", view_func=_generator_view())
    with pytest.raises(TypeError) as caught:
        kit.client.get("/")
    text = str(caught.value)
    assert "_generator_view.<locals>.view', which is a generator function" in text
    assert "SAFESESSION_TRANSACTIONAL_VIEWS" in text
    assert "@non_transactional" in text


@pytest.mark.parametrize("make", [_coroutine_view, _generator_view])
def test_what_cannot_be_wrapped_can_be_exempt(kit: Kit, make: Callable[[], Any]) -> None:
    """An exempt coroutine or generator runs as Flask runs it."""
    if make is _coroutine_view:
        pytest.importorskip("asgiref")
    kit.app.add_url_rule("/", view_func=non_transactional(make()))
    assert kit.client.get("/").text == "answer"


def test_a_streaming_body_is_outside(kit: Kit) -> None:
    """The body of a wrapped view cannot use its session."""

    def body() -> Iterator[str]:
        yield from kit.db.session.scalars(select(kit.Item.name))

    kit.app.add_url_rule("/", "stream", _view(kit, lambda: stream_with_context(body())))
    with pytest.raises(NoTransactionError, match="The streaming body of 'view'"):
        kit.client.get("/")
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_a_path_without_a_view(kit: Kit) -> None:
    """404 and 405 are Flask's own."""
    kit.app.add_url_rule("/", view_func=_scope_name)
    assert (kit.client.get("/no").status_code, kit.client.post("/").status_code) == (404, 405)


def test_static_files(kit: Kit, tmp_path: Path) -> None:
    """Static files are served, and hold no connection."""
    (tmp_path / "a.txt").write_text("content")
    kit.app.static_folder = str(tmp_path)
    answer = kit.client.get("/static/a.txt")
    assert (answer.text, kit.checkedout()) == ("content", 0)
    answer.close()
    assert kit.client.get("/static/b.txt").status_code == 404


def test_views_join_no_other_context(kit: Kit) -> None:
    """A request has its own context and so its own scope, beside one that waits."""
    kit.app.add_url_rule("/", view_func=_view(kit, lambda: _scope_name()))
    with kit.app.app_context(), session_manager(name="outer"):
        outer = _scope_name()
    assert (outer, kit.client.get("/").text, kit.names()) == ("outer", "view", ["a"])


def test_without_the_setting_views_are_left_alone(sqlite_kit: Kit) -> None:
    """The default wraps nothing."""
    sqlite_kit.app.add_url_rule("/", "index", _scope_name)
    assert sqlite_kit.client.get("/").text == "none"
    assert sqlite_kit.app.view_functions["index"] is _scope_name


def test_one_extension_for_two_apps(make_kit: MakeKit) -> None:
    """The setting belongs to the app: of two apps with one extension only one has it."""
    kits = [make_kit(safe=False) for _ in range(2)]
    kits[0].app.config["SAFESESSION_TRANSACTIONAL_VIEWS"] = True
    safe = SafeSession()
    for kit in kits:
        safe.init_app(kit.app)
        kit.app.add_url_rule("/", view_func=_scope_name)
    assert [kit.client.get("/").text for kit in kits] == ["_scope_name", "none"]
