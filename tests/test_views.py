"""`@transactional` views: what the response says about the transaction."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

import click
import flask
import pytest
from flask import Blueprint, Flask, Response, abort, redirect, stream_with_context
from flask.views import MethodView, View
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import Headers
from werkzeug.exceptions import Conflict, Gone, HTTPException, NotFound
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from flask_safesession import (
    SafeSession,
    current_scope,
    on_commit,
    session_manager,
    transactional,
)
from flask_safesession.errors import NoTransactionError, UnexpectedRollbackError

from .kit import Kit, MakeKit

Respond = Callable[[], Any]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _view(kit: Kit, respond: Respond, decorator: Decorator = transactional) -> Callable[..., Any]:
    @decorator
    def view() -> Any:
        kit.session().add(kit.Item(name="a"))
        return respond()

    return view


def _get(kit: Kit, respond: Respond, decorator: Decorator = transactional) -> TestResponse:
    kit.app.add_url_rule("/", view_func=_view(kit, respond, decorator))
    return kit.client.get("/")


def _raise(error: BaseException) -> Any:
    raise error


def _chunks() -> Iterator[str]:
    yield from "ok"


def _wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("404 NOT FOUND", [])
    return [b""]


COMMITS: dict[str, Respond] = {
    "text": lambda: "ok",
    "bytes": lambda: b"ok",
    "empty text": lambda: "",
    "dict": lambda: {"a": 1},
    "list": lambda: [1, 2],
    "empty list": lambda: [],
    "generator": _chunks,
    "status 201": lambda: ("", 201),
    "status 302": lambda: ("", 302),
    "status 399": lambda: ("", 399),
    "status as text": lambda: ("", "201 Created"),
    "status as digits": lambda: ("", "204"),
    "status as enum": lambda: ("", HTTPStatus.ACCEPTED),
    "headers as dict": lambda: ("", {"X-A": "400"}),
    "headers as list": lambda: ("", [("X-A", "400")]),
    "headers as tuple": lambda: ("", (("X-A", "400"),)),
    "headers as object": lambda: ("", Headers({"X-A": "400"})),
    "status and headers": lambda: ({"a": 1}, 201, {"X-A": "400"}),
    "no status and headers": lambda: ("", None, {"X-A": "400"}),
    "a status over an error's response": lambda: (Response(status=500), 200),
    "response": lambda: Response("ok"),
    "made response": lambda: flask.make_response("ok", 202),
    "json": lambda: flask.jsonify(error=True),
    "redirect": lambda: redirect("/elsewhere"),
    "permanent redirect": lambda: redirect("/elsewhere", 308),
    "redirect with headers": lambda: (redirect("/elsewhere"), {"X-A": "1"}),
}

ROLLS_BACK: dict[str, Respond] = {
    "status 400": lambda: ("", 400),
    "status 422": lambda: ({"error": "no"}, 422),
    "status 503": lambda: ("", 503),
    "status as text": lambda: ("", "404 Not Found"),
    "status as digits": lambda: ("", "500"),
    "status as enum": lambda: ("", HTTPStatus.CONFLICT),
    "status and headers": lambda: ("", 409, {"X-A": "1"}),
    "status and headers as list": lambda: ("", "409 Conflict", [("X-A", "1")]),
    "a status over a good response": lambda: (Response(status=200), 400),
    "response": lambda: Response(status=400),
    "response with headers": lambda: (Response(status=404), {"X-A": "1"}),
    "response with no status": lambda: (Response(status=404), None, {"X-A": "1"}),
    "response with text": lambda: Response(status="418 I'M A TEAPOT"),
    "made response": lambda: flask.make_response(({"error": "no"}, 500)),
    "returned exception": lambda: NotFound(),
    "returned exception with headers": lambda: (Conflict(), {"X-A": "1"}),
    "generator": lambda: (_chunks(), 500),
}


@pytest.mark.parametrize("respond", COMMITS.values(), ids=COMMITS)
def test_a_good_response_commits(sqlite_kit: Kit, respond: Respond) -> None:
    """A returned status below 400, in each shape that Flask takes, commits."""
    answer = _get(sqlite_kit, respond)
    assert (sqlite_kit.names(), answer.status_code < 400) == (["a"], True)


@pytest.mark.parametrize("respond", ROLLS_BACK.values(), ids=ROLLS_BACK)
def test_an_error_response_rolls_back(sqlite_kit: Kit, respond: Respond) -> None:
    """A returned status from 400 on, in each shape that Flask takes, rolls back."""
    answer = _get(sqlite_kit, respond)
    assert (sqlite_kit.names(), answer.status_code >= 400) == ([], True)


@pytest.mark.parametrize("status", [200, 400])
def test_the_rule_holds_on_each_database(kit: Kit, status: int) -> None:
    """The three databases store what a good response leaves, and nothing of an error."""
    assert _get(kit, lambda: ("", status)).status_code == status
    assert kit.names() == (["a"] if status == 200 else [])


@pytest.mark.parametrize("status", [200, 400])
def test_the_rule_holds_for_each_way_of_having_sessions(any_kit: Kit, status: int) -> None:
    """Flask-SQLAlchemy, Lite, a sessionmaker and a scoped_session behave the same."""
    assert _get(any_kit, lambda: ("", status)).status_code == status
    assert any_kit.names() == (["a"] if status == 200 else [])


RAISED_COMMITS: dict[str, BaseException] = {
    "redirect by the router": RequestRedirect("/elsewhere"),
    "response 204": HTTPException(response=Response(status=204)),
}


@pytest.mark.parametrize("error", RAISED_COMMITS.values(), ids=RAISED_COMMITS)
def test_a_raised_redirect_commits(sqlite_kit: Kit, error: BaseException) -> None:
    """An HTTPException with a status below 400 is an answer, not a failure."""
    answer = _get(sqlite_kit, lambda: _raise(error))
    assert (sqlite_kit.names(), answer.status_code < 400) == (["a"], True)


def test_abort_with_a_redirect_commits(sqlite_kit: Kit) -> None:
    """``abort(redirect(...))`` commits as ``return redirect(...)`` does."""
    answer = _get(sqlite_kit, lambda: abort(redirect("/elsewhere", 303)))
    assert (sqlite_kit.names(), answer.status_code) == (["a"], 303)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 418, 422, 429, 500, 503])
def test_abort_rolls_back(sqlite_kit: Kit, status: int) -> None:
    """``abort()`` with a status from 400 on rolls back and answers with that status."""
    answer = _get(sqlite_kit, lambda: abort(status))
    assert (sqlite_kit.names(), answer.status_code) == ([], status)


def test_abort_with_a_response_rolls_back(sqlite_kit: Kit) -> None:
    """``abort(Response(status=503))`` rolls back, although the exception has no code."""
    answer = _get(sqlite_kit, lambda: abort(Response(status=503)))
    assert (sqlite_kit.names(), answer.status_code) == ([], 503)


@pytest.mark.parametrize("response", [None, _wsgi], ids=["nothing", "wsgi application"])
def test_an_exception_without_a_status_rolls_back(sqlite_kit: Kit, response: Any) -> None:
    """An HTTPException of which no status can be told counts as an error."""
    view = _view(sqlite_kit, lambda: _raise(HTTPException(response=response)))
    sqlite_kit.app.add_url_rule("/", "index", view)
    with sqlite_kit.app.test_request_context("/"), pytest.raises(HTTPException):
        view()
    assert sqlite_kit.names() == []


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(0)], ids=repr)
def test_any_other_exception_rolls_back(sqlite_kit: Kit, error: BaseException) -> None:
    """The same exception object leaves the view, and nothing is stored."""
    with pytest.raises(type(error)) as caught:
        _get(sqlite_kit, lambda: _raise(error))
    assert (caught.value, sqlite_kit.names()) == (error, [])


def test_a_view_that_fails_in_a_savepoint_goes_on(sqlite_kit: Kit) -> None:
    """An HTTPException of a nested scope that the view catches does not roll the rest back."""

    @transactional(propagation="nested")
    def try_it() -> None:
        sqlite_kit.session().add(sqlite_kit.Item(name="b"))
        abort(409)

    def respond() -> str:
        with pytest.raises(Conflict):
            try_it()
        return "ok"

    assert (_get(sqlite_kit, respond).status_code, sqlite_kit.names()) == (200, ["a"])


def test_a_joined_scope_makes_an_error_response_roll_back(sqlite_kit: Kit) -> None:
    """A view that answers 409 inside a scope of its caller makes that scope rollback-only."""
    view = _view(sqlite_kit, lambda: ("", 409))
    sqlite_kit.app.add_url_rule("/", "index", view)
    with (
        sqlite_kit.app.test_request_context("/"),
        pytest.raises(UnexpectedRollbackError, match=r"called 'set_rollback_only\(\)'"),
        session_manager(),
    ):
        view()
    assert sqlite_kit.names() == []


class _Items(MethodView):
    init_every_request = False

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    @transactional
    def get(self) -> Any:
        return self._answer(201)

    @transactional
    def post(self) -> Any:
        return self._answer(409)

    def _answer(self, status: int) -> Any:
        self.kit.session().add(self.kit.Item(name="a"))
        return "", status


@pytest.mark.parametrize(("method", "names"), [("GET", ["a"]), ("HEAD", ["a"]), ("POST", [])])
def test_the_methods_of_a_method_view(sqlite_kit: Kit, method: str, names: list[str]) -> None:
    """The status rule applies to decorated methods of a MethodView; HEAD is answered by ``get``."""
    sqlite_kit.app.add_url_rule("/", view_func=_Items.as_view("items", sqlite_kit))
    sqlite_kit.client.open("/", method=method)
    assert sqlite_kit.names() == names


@pytest.mark.parametrize("base", [MethodView, View])
@pytest.mark.parametrize(("status", "names"), [(200, ["a"]), (409, [])])
def test_the_decorators_of_a_view_class(
    sqlite_kit: Kit, base: type[View], status: int, names: list[str]
) -> None:
    """``decorators = [transactional]`` puts the whole class under the rule."""

    def answer(self: View) -> Any:
        sqlite_kit.session().add(sqlite_kit.Item(name="a"))
        return "", status

    method = "get" if base is MethodView else "dispatch_request"
    view: Any = type("Items", (base,), {"decorators": [transactional], method: answer})
    sqlite_kit.app.add_url_rule("/", view_func=view.as_view("items"))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (status, names)


@pytest.mark.parametrize("base", [MethodView, View])
def test_a_decorated_dispatch_request(sqlite_kit: Kit, base: type[View]) -> None:
    """The rule applies to ``dispatch_request`` of a View, and to one that a MethodView overrides."""

    class Items(base):  # type: ignore[misc, valid-type]
        @transactional
        def dispatch_request(self, **kwargs: Any) -> Any:
            sqlite_kit.session().add(sqlite_kit.Item(name="a"))
            return "", 409

        def get(self) -> Any:
            """The method for which a MethodView lets GET in."""

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (409, [])


def test_a_helper_of_a_view_class_is_a_service(sqlite_kit: Kit) -> None:
    """A method called ``get`` of a plain View answers no request, so what it returns is no status."""

    class Items(View):
        @transactional
        def get(self) -> Any:
            sqlite_kit.session().add(sqlite_kit.Item(name="a"))
            return "not a status", 409

        def dispatch_request(self) -> Any:
            return str(self.get())

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (200, ["a"])


@pytest.mark.parametrize(("status", "names"), [(201, ["a"]), (404, [])])
def test_views_of_nested_blueprints(sqlite_kit: Kit, status: int, names: list[str]) -> None:
    """A view of a blueprint inside a blueprint is found under its dotted endpoint."""
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/", "items", _view(sqlite_kit, lambda: ("", status)))
    outer.register_blueprint(inner, url_prefix="/inner")
    sqlite_kit.app.register_blueprint(outer, url_prefix="/outer")
    assert sqlite_kit.client.get("/outer/inner/").status_code == status
    assert sqlite_kit.names() == names


def test_one_view_under_two_endpoints(sqlite_kit: Kit) -> None:
    """The rule holds for each endpoint of a view."""
    view = _view(sqlite_kit, lambda: ("", 400))
    sqlite_kit.app.add_url_rule("/one", "one", view)
    sqlite_kit.app.add_url_rule("/two", "two", view)
    answers = [sqlite_kit.client.get(path).status_code for path in ("/one", "/two")]
    assert (answers, sqlite_kit.names()) == ([400, 400], [])


@pytest.mark.parametrize("handled", [ValueError, Exception, 500])
def test_an_errorhandler_does_not_save_the_transaction(sqlite_kit: Kit, handled: Any) -> None:
    """An exception that left the view has rolled back, whatever a handler answers."""
    sqlite_kit.app.config["PROPAGATE_EXCEPTIONS"] = False
    sqlite_kit.app.register_error_handler(handled, lambda _: ("all is well", 200))
    answer = _get(sqlite_kit, lambda: _raise(ValueError("no")))
    assert (answer.text, answer.status_code, sqlite_kit.names()) == ("all is well", 200, [])


def test_an_errorhandler_for_abort(sqlite_kit: Kit) -> None:
    """The same holds for an ``abort()`` that a handler turns into a good answer."""
    sqlite_kit.app.register_error_handler(404, lambda _: ("made up", 200))
    answer = _get(sqlite_kit, lambda: abort(404))
    assert (answer.text, answer.status_code, sqlite_kit.names()) == ("made up", 200, [])


def test_an_errorhandler_may_write(sqlite_kit: Kit) -> None:
    """A handler has a session, and a transaction of its own."""

    @sqlite_kit.app.errorhandler(Conflict)
    def log(error: Conflict) -> Any:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="refused"))
        return error

    assert _get(sqlite_kit, lambda: abort(409)).status_code == 409
    assert sqlite_kit.names() == ["refused"]


@pytest.mark.parametrize(("status", "names"), [(200, ["a"]), (400, [])])
def test_the_commit_is_before_after_request(sqlite_kit: Kit, status: int, names: list[str]) -> None:
    """An ``after_request`` function sees the outcome and cannot change it by another status."""
    seen: list[list[str]] = []

    @sqlite_kit.app.after_request
    def turn(response: Response) -> Response:
        seen.append(sqlite_kit.names())
        response.status_code = 600 - response.status_code
        return response

    assert _get(sqlite_kit, lambda: ("", status)).status_code == 600 - status
    assert (seen, sqlite_kit.names()) == ([names], names)


def test_a_failing_after_request_comes_too_late(sqlite_kit: Kit) -> None:
    """What ``after_request`` raises reaches the client, and the commit has happened."""
    sqlite_kit.app.after_request(lambda _: _raise(ValueError("late")))
    with pytest.raises(ValueError, match="late"):
        _get(sqlite_kit, lambda: "ok")
    assert sqlite_kit.names() == ["a"]


@pytest.mark.parametrize("classes", [ValueError, (KeyError, ValueError), Exception])
def test_commit_on(sqlite_kit: Kit, classes: Any) -> None:
    """The exceptions of ``commit_on`` commit, and go on as they are."""
    error = ValueError("on purpose")
    with pytest.raises(ValueError, match="on purpose") as caught:
        _get(sqlite_kit, lambda: _raise(error), transactional(commit_on=classes))
    assert (caught.value, sqlite_kit.names()) == (error, ["a"])


def test_commit_on_leaves_other_exceptions_alone(sqlite_kit: Kit) -> None:
    """An exception that ``commit_on`` does not name rolls back."""
    with pytest.raises(ValueError, match="no"):
        _get(sqlite_kit, lambda: _raise(ValueError("no")), transactional(commit_on=KeyError))
    assert sqlite_kit.names() == []


@pytest.mark.parametrize(("status", "names"), [(410, ["a"]), (404, [])])
def test_commit_on_an_http_exception(sqlite_kit: Kit, status: int, names: list[str]) -> None:
    """``abort()`` commits where its class is in ``commit_on``."""
    answer = _get(sqlite_kit, lambda: abort(status), transactional(commit_on=(Gone,)))
    assert (answer.status_code, sqlite_kit.names()) == (status, names)


@pytest.mark.parametrize(
    ("limit", "status", "names"),
    [(500, 404, ["a"]), (500, 500, []), (300, 302, []), (300, 204, ["a"]), (600, 503, ["a"])],
)
def test_rollback_on_status(sqlite_kit: Kit, limit: int, status: int, names: list[str]) -> None:
    """Returned statuses below ``rollback_on_status`` commit."""
    _get(sqlite_kit, lambda: ("", status), transactional(rollback_on_status=limit))
    assert sqlite_kit.names() == names


def test_rollback_on_status_is_for_returned_statuses(sqlite_kit: Kit) -> None:
    """``abort()`` rolls back below ``rollback_on_status`` too: an exception left the view."""
    _get(sqlite_kit, lambda: abort(404), transactional(rollback_on_status=500))
    assert sqlite_kit.names() == []


@pytest.mark.parametrize("value", [ValueError("no"), 400, (KeyError, "ValueError"), None, int])
def test_commit_on_takes_exception_classes_only(value: Any) -> None:
    """Anything else is a TypeError when decorating."""
    with pytest.raises(TypeError, match=r"^'commit_on' is .* Give an exception class"):
        transactional(commit_on=value)


@pytest.mark.parametrize("value", [99, 601, "400", None])
def test_rollback_on_status_takes_a_status_only(value: Any) -> None:
    """Anything else is a ValueError when decorating."""
    with pytest.raises(ValueError, match=r"^'rollback_on_status' is .* Give an HTTP status"):
        transactional(rollback_on_status=value)


SERVICE_VALUES: list[Any] = [("failed", 500), Response(status=500), NotFound(), ("", "404")]


@pytest.mark.parametrize("value", SERVICE_VALUES, ids=repr)
def test_what_a_service_returns_is_no_status(sqlite_kit: Kit, value: Any) -> None:
    """A decorated service that a view calls commits, and the view gets the very object."""
    service = _view(sqlite_kit, lambda: value)
    got: list[Any] = []

    @sqlite_kit.app.route("/")
    def index() -> str:
        got.append(service())
        return "ok"

    assert (sqlite_kit.client.get("/").text, sqlite_kit.names()) == ("ok", ["a"])
    assert got[0] is value


def test_a_service_inside_a_decorated_view(sqlite_kit: Kit) -> None:
    """Only the view's own answer is read as a status."""
    service = transactional(lambda: ("failed", 500))
    assert _get(sqlite_kit, lambda: str(service())).status_code == 200
    assert sqlite_kit.names() == ["a"]


def test_a_decorated_view_that_a_view_calls_is_a_service(sqlite_kit: Kit) -> None:
    """The function of another endpoint is an ordinary function when a view calls it."""
    other = _view(sqlite_kit, lambda: ("conflict", 409))
    sqlite_kit.app.add_url_rule("/other", "other", other)
    sqlite_kit.app.add_url_rule("/", "index", lambda: str(other()))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (200, ["a"])
    assert (sqlite_kit.client.get("/other").status_code, sqlite_kit.names()) == (409, ["a"])


def test_a_view_that_closes_over_a_service(make_kit: MakeKit) -> None:
    """A closure of ``create_app`` over a decorated service is not taken for that service."""

    @transactional
    def publish(kit: Kit) -> tuple[str, int]:
        kit.session().add(kit.Item(name="a"))
        return "published", 500

    def add_views(kit: Kit) -> Flask:
        @kit.app.post("/")
        def index() -> str:
            return publish(kit)[0]

        return kit.app

    kit = make_kit()
    assert add_views(kit).test_client().post("/").text == "published"
    assert kit.names() == ["a"]


def test_a_service_outside_of_a_request(sqlite_kit: Kit) -> None:
    """Without a request there is no view, so nothing is read as a status."""
    with sqlite_kit.app.app_context():
        assert _view(sqlite_kit, lambda: ("failed", 500))() == ("failed", 500)
    assert sqlite_kit.names() == ["a"]


def test_a_service_in_a_request_without_an_endpoint(sqlite_kit: Kit) -> None:
    """A 404 has no view; what runs in it is no view either."""
    service = _view(sqlite_kit, lambda: ("failed", 500))
    sqlite_kit.app.before_request(lambda: service()[0][:0] or None)
    assert (sqlite_kit.client.get("/nowhere").status_code, sqlite_kit.names()) == (404, ["a"])


def test_a_service_raises_an_http_exception(sqlite_kit: Kit) -> None:
    """A redirect that a service raises is a failure of the service."""
    service = _view(sqlite_kit, lambda: abort(redirect("/elsewhere", 303)))
    sqlite_kit.app.add_url_rule("/", "index", service_view := lambda: service())
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (303, [])
    assert service_view is not service


def test_a_decorator_between_route_and_transactional(sqlite_kit: Kit) -> None:
    """The view is found below decorators that use ``functools.wraps``."""

    def login_required(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return wrapped

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        return login_required(login_required(transactional(fn)))

    assert _get(sqlite_kit, lambda: ("", 403), decorate).status_code == 403
    assert sqlite_kit.names() == []


def test_a_decorator_below_transactional(sqlite_kit: Kit) -> None:
    """What a decorator inside answers is the view's answer."""

    def refuse(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped() -> Any:
            fn()
            return "", 403

        return wrapped

    assert _get(sqlite_kit, lambda: "ok", lambda fn: transactional(refuse(fn))).status_code == 403
    assert sqlite_kit.names() == []


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


class _Service:
    pass


def _service(owner: object) -> None:
    return None


NOT_DECORATED: dict[str, tuple[Any, str]] = {
    "generator": (_generator, "'_generator', which is a generator function"),
    "async generator": (_async_generator, "which is an asynchronous generator function"),
    "class": (_Service, "Put it directly on a function"),
    "classmethod": (classmethod(_service), "below '@app.cli.command()', '@classmethod'"),
    "property": (property(_service), "Put it directly on a function"),
    "command": (click.Command("load"), "was put on <Command load>"),
    "number": (42, "'@transactional' was put on 42"),
    "name": (
        "never",
        "was given 'never' by position. Give it by name, such as 'propagation=\"never\"'",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), NOT_DECORATED.values(), ids=NOT_DECORATED)
def test_what_cannot_be_decorated(wrong: Any, message: str) -> None:
    """A TypeError when decorating says what it is and where to put the decorator."""
    with pytest.raises(TypeError) as caught:
        transactional(wrong)
    assert message in str(caught.value)


def _plain(app: Flask | Blueprint, _: SafeSession) -> None:
    @transactional
    @app.get("/")
    def view() -> str:
        return "ok"


def _with_options(app: Flask | Blueprint, safe: SafeSession) -> None:
    @safe.transactional(read_only=True)
    @app.get("/", endpoint="other")
    def view() -> str:
        return "ok"


def _around_another(app: Flask | Blueprint, _: SafeSession) -> None:
    def checked(fn: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(fn)(lambda: fn())

    @transactional
    @app.get("/")
    @checked
    @transactional
    def view() -> str:
        return "ok"


MISPLACED = [_plain, _with_options, _around_another]


@pytest.mark.parametrize("register", MISPLACED)
@pytest.mark.parametrize("wraps_all", [False, True])
@pytest.mark.parametrize("blueprint", [False, True])
def test_a_decorator_above_the_route_is_refused(
    make_kit: MakeKit, register: Callable[..., None], blueprint: bool, wraps_all: bool
) -> None:
    """Flask has the plain function by then: stock decorators in that order do nothing, and say nothing."""
    kit = make_kit(options={"transactional_views": wraps_all})
    part = Blueprint("part", __name__) if blueprint else kit.app
    register(part, kit.safe)
    if isinstance(part, Blueprint):
        kit.app.register_blueprint(part)
    kit.app.add_url_rule("/good", "good", _view(kit, lambda: ("", 404)))
    for _ in range(2):
        with pytest.raises(TypeError, match="without its '@transactional'") as caught:
            kit.client.get("/")
        assert kit.client.get("/good").status_code == 404
    # Python 3.10 has the line of "def" there.
    place = re.search(r"test_views\.py:(\d+)\)", str(caught.value))
    assert place is not None
    assert 0 < int(place[1]) - register.__code__.co_firstlineno < 9
    assert "below the route" in str(caught.value)


def test_a_view_may_have_a_transactional_twin(sqlite_kit: Kit) -> None:
    """A function that is used with and without a transaction, under two names, is meant so."""

    @sqlite_kit.app.get("/")
    def view() -> str:
        return str(current_scope())

    twin = transactional(view)
    assert sqlite_kit.client.get("/").text == "None"
    with sqlite_kit.app.app_context():
        assert "view" in twin()


def test_views_are_looked_at_once(sqlite_kit: Kit) -> None:
    """An app without a misplaced decorator pays nothing after its first request."""
    before = len(sqlite_kit.app.before_request_funcs[None])
    assert _get(sqlite_kit, lambda: "ok").status_code == 200
    assert len(sqlite_kit.app.before_request_funcs[None]) == before - 1


def test_the_scope_bears_the_name_of_the_view(sqlite_kit: Kit) -> None:
    """``current_scope().name`` is the function's, or the one that was given."""
    names: list[str] = []

    def respond() -> str:
        scope = current_scope()
        names.append("" if scope is None else scope.name)
        return "ok"

    _get(sqlite_kit, respond)
    with sqlite_kit.app.app_context():
        transactional(name="nightly")(respond)()
    assert names == ["view", "nightly"]


def test_a_callable_object_can_be_decorated(sqlite_kit: Kit) -> None:
    """An object with ``__call__`` has no code of its own; its scope is placed where it is decorated."""

    class Service:
        def __call__(self) -> str:
            scope = current_scope()
            return "" if scope is None else scope.owner

    with sqlite_kit.app.app_context():
        owner = transactional(Service())()
    assert "test_views.py" in owner


def test_hooks_run_before_the_answer(sqlite_kit: Kit) -> None:
    """An ``on_commit`` hook of a view has run, with the row stored, when the client gets the answer."""
    seen: list[list[str]] = []

    def respond() -> str:
        on_commit(lambda: seen.append(sqlite_kit.names()))
        return "ok"

    assert (_get(sqlite_kit, respond).text, seen) == ("ok", [["a"]])


def _touch(kit: Kit) -> Iterator[str]:
    for item in kit.db.session.scalars(select(kit.Item)):
        yield item.name


def _captured(kit: Kit) -> Iterator[str]:
    session = kit.db.session()

    def body() -> Iterator[str]:
        yield from session.scalars(select(kit.Item.name))

    return body()


STREAMS: dict[str, Callable[[Kit], Any]] = {
    "generator": _captured,
    "Response": lambda kit: Response(_captured(kit)),
    "tuple": lambda kit: (_captured(kit), 201, {"X-A": "1"}),
    "tuple with a Response": lambda kit: (Response(_captured(kit)), {"X-A": "1"}),
    "stream_with_context": lambda kit: stream_with_context(_touch(kit)),
    "Response, stream_with_context": lambda kit: Response(stream_with_context(_touch(kit))),
    "captured, stream_with_context": lambda kit: stream_with_context(_captured(kit)),
    "map": lambda kit: Response(map(str, _captured(kit))),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_streaming_body_that_uses_the_session(
    sqlite_kit: Kit, stream: Callable[[Kit], Any]
) -> None:
    """The transaction is over when the body runs: a clear error, and no connection is out."""
    with pytest.raises(
        NoTransactionError, match=r"^The streaming body of 'view' used the session after"
    ):
        _get(sqlite_kit, lambda: stream(sqlite_kit))
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == (["a"], 0)


def test_a_streaming_body_may_open_a_scope(sqlite_kit: Kit) -> None:
    """A body with its own ``session_manager()`` reads what the view has stored, and writes."""

    def body() -> Iterator[str]:
        with session_manager() as session:
            yield from session.scalars(select(sqlite_kit.Item.name)).all()
            session.add(sqlite_kit.Item(name="b"))

    assert _get(sqlite_kit, lambda: stream_with_context(body())).text == "a"
    assert sqlite_kit.names() == ["a", "b"]


def test_a_streaming_body_may_call_a_decorated_service(sqlite_kit: Kit) -> None:
    """A ``@transactional`` service works in a body; its scope ends with its call."""

    @transactional
    def count() -> int:
        return len(current_scope_session(sqlite_kit).scalars(select(sqlite_kit.Item)).all())

    def body() -> Iterator[str]:
        yield str(count())
        yield str(count())

    assert _get(sqlite_kit, lambda: stream_with_context(body())).text == "11"


def current_scope_session(kit: Kit) -> Any:
    return kit.db.session


def _closing(closed: list[bool]) -> Iterator[str]:
    try:
        yield "one"
        yield "two"
    finally:
        closed.append(True)


def test_a_streaming_body_without_the_session_is_left_alone(sqlite_kit: Kit) -> None:
    """A body that streams what was read before the end streams as ever, and is closed."""
    closed: list[bool] = []
    assert (_get(sqlite_kit, lambda: _closing(closed)).text, closed) == ("onetwo", [True])


def test_a_body_that_the_client_leaves_is_closed(sqlite_kit: Kit) -> None:
    """Closing the response closes the generator below."""
    closed: list[bool] = []
    sqlite_kit.app.add_url_rule(
        "/", view_func=_view(sqlite_kit, lambda: Response(_closing(closed)))
    )
    answer = sqlite_kit.client.get("/", buffered=False)
    assert next(answer.iter_encoded()) == b"one"
    answer.close()
    assert closed == [True]


def test_a_body_that_cannot_be_closed(sqlite_kit: Kit) -> None:
    """An iterator without ``close()`` is a body too."""
    answer = _get(sqlite_kit, lambda: Response(iter(["one", "two"])))
    assert answer.text == "onetwo"
    answer.close()


def test_an_ordinary_view_may_stream_from_the_session(sqlite_kit: Kit) -> None:
    """Views without ``@transactional`` stream from ``db.session`` as without the extension."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="a"))
    sqlite_kit.app.add_url_rule("/", "index", lambda: stream_with_context(_touch(sqlite_kit)))
    assert sqlite_kit.client.get("/").text == "a"


def test_a_service_may_return_a_generator(sqlite_kit: Kit) -> None:
    """Only the body of a view's response is sealed."""
    service = transactional(lambda: _captured(sqlite_kit))
    with sqlite_kit.app.app_context():
        assert list(service()) == []


@pytest.mark.parametrize("as_tuple", [False, True])
def test_send_file_is_untouched(sqlite_kit: Kit, as_tuple: bool) -> None:
    """A file is passed through as the server likes it."""
    bodies: list[Any] = []

    @sqlite_kit.app.after_request
    def look(response: Response) -> Response:
        bodies.append((response.direct_passthrough, type(response.response).__name__))
        return response

    def respond() -> Any:
        file = flask.send_file(io.BytesIO(b"content"), "text/plain")
        return (file, {"X-A": "1"}) if as_tuple else file

    assert _get(sqlite_kit, respond).data == b"content"
    assert (bodies, sqlite_kit.names()) == ([(True, "FileWrapper")], ["a"])


def test_a_failing_commit_reaches_the_errorhandlers(kit: Kit) -> None:
    """The COMMIT is inside dispatch: a handler answers for a deferred constraint, nothing is stored."""
    kit.app.register_error_handler(IntegrityError, lambda _: ("refused", 409))

    def respond() -> str:
        kit.db.session.add(kit.LateChild(name="orphan", parent_id=987))
        return "ok"

    answer = _get(kit, respond)
    assert (answer.text, answer.status_code) == ("refused", 409)
    assert (kit.names(), kit.count(kit.LateChild), kit.checkedout()) == ([], 0, 0)


def test_a_failing_commit_is_an_internal_error_without_a_handler(sqlite_kit: Kit) -> None:
    """Without a handler the client gets 500 and not the view's answer."""
    sqlite_kit.app.config["PROPAGATE_EXCEPTIONS"] = False

    def respond() -> str:
        sqlite_kit.db.session.add(sqlite_kit.LateChild(name="orphan", parent_id=987))
        return "ok"

    assert (_get(sqlite_kit, respond).status_code, sqlite_kit.names()) == (500, [])
