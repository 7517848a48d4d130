"""The answer of an asynchronous view decides, in each shape and place that Flask has for views."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, redirect
from flask.views import MethodView, View
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import Conflict, Gone
from werkzeug.test import TestResponse

from flask_safesession import SafeSession, current_scope, on_commit, session_manager, transactional

from ...test_views import (
    COMMITS,
    RAISED_COMMITS,
    ROLLS_BACK,
    SERVICE_VALUES,
    Decorator,
    Respond,
)
from .conftest import MakeKit
from .kit import AsyncKit, current_session


@pytest.fixture
def sqlite_kit(make_kit: MakeKit) -> AsyncKit:
    """A kit on a SQLite file whose views run on the portal; those of ``test_views`` have a loop each."""
    return make_kit(config={"SAFESESSION_ASYNC_PORTAL": True})


@pytest.fixture
def kit(make_kit: MakeKit, driver: str) -> AsyncKit:
    """The same on each of the three databases."""
    return make_kit(driver, config={"SAFESESSION_ASYNC_PORTAL": True})


def _view(
    kit: AsyncKit, respond: Respond, decorator: Decorator = transactional
) -> Callable[..., Any]:

    @decorator
    async def view() -> Any:
        (await current_session()).add(kit.Item(name="a"))
        answer = respond()
        return await answer if inspect.isawaitable(answer) else answer

    return view


def _get(kit: AsyncKit, respond: Respond, decorator: Decorator = transactional) -> TestResponse:
    kit.app.add_url_rule("/", view_func=_view(kit, respond, decorator))
    return kit.client.get("/")


def _raise(error: BaseException) -> Any:
    raise error


def _chunks() -> Iterator[str]:
    yield from "ok"


@pytest.mark.parametrize("respond", COMMITS.values(), ids=COMMITS)
def test_a_good_response_commits(sqlite_kit: AsyncKit, respond: Respond) -> None:
    """A returned status below 400, in each shape that Flask takes, commits."""
    answer = _get(sqlite_kit, respond)
    assert (sqlite_kit.names(), answer.status_code < 400) == (["a"], True)


@pytest.mark.parametrize("respond", ROLLS_BACK.values(), ids=ROLLS_BACK)
def test_an_error_response_rolls_back(sqlite_kit: AsyncKit, respond: Respond) -> None:
    """A returned status from 400 on, in each shape that Flask takes, rolls back."""
    answer = _get(sqlite_kit, respond)
    assert (sqlite_kit.names(), answer.status_code >= 400) == ([], True)


@pytest.mark.parametrize("status", [200, 400])
def test_the_rule_holds_on_each_database(kit: AsyncKit, status: int) -> None:
    """The three databases store what a good response leaves, and nothing of an error."""
    assert _get(kit, lambda: ("", status)).status_code == status
    assert kit.names() == (["a"] if status == 200 else [])


@pytest.mark.parametrize("status", [200, 400])
def test_the_rule_holds_for_each_way_of_having_sessions(any_kit: AsyncKit, status: int) -> None:
    """Flask-SQLAlchemy, Lite, a sessionmaker and a scoped_session behave the same."""
    assert _get(any_kit, lambda: ("", status)).status_code == status
    assert any_kit.names() == (["a"] if status == 200 else [])


@pytest.mark.parametrize("error", RAISED_COMMITS.values(), ids=RAISED_COMMITS)
def test_a_raised_redirect_commits(sqlite_kit: AsyncKit, error: BaseException) -> None:
    """An HTTPException with a status below 400 is an answer, not a failure."""
    answer = _get(sqlite_kit, lambda: _raise(error))
    assert (sqlite_kit.names(), answer.status_code < 400) == (["a"], True)


def test_abort_with_a_redirect_commits(sqlite_kit: AsyncKit) -> None:
    """``abort(redirect(...))`` commits as ``return redirect(...)`` does."""
    answer = _get(sqlite_kit, lambda: abort(redirect("/elsewhere", 303)))
    assert (sqlite_kit.names(), answer.status_code) == (["a"], 303)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 418, 422, 429, 500, 503])
def test_abort_rolls_back(sqlite_kit: AsyncKit, status: int) -> None:
    """``abort()`` with a status from 400 on rolls back and answers with that status."""
    answer = _get(sqlite_kit, lambda: abort(status))
    assert (sqlite_kit.names(), answer.status_code) == ([], status)


def test_abort_with_a_response_rolls_back(sqlite_kit: AsyncKit) -> None:
    """``abort(Response(status=503))`` rolls back, although the exception has no code."""
    answer = _get(sqlite_kit, lambda: abort(Response(status=503)))
    assert (sqlite_kit.names(), answer.status_code) == ([], 503)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(0)], ids=repr)
def test_any_other_exception_rolls_back(sqlite_kit: AsyncKit, error: BaseException) -> None:
    """The same exception object leaves the view, and nothing is stored."""
    with pytest.raises(type(error)) as caught:
        _get(sqlite_kit, lambda: _raise(error))
    assert (caught.value, sqlite_kit.names()) == (error, [])


def test_a_view_that_fails_in_a_savepoint_goes_on(sqlite_kit: AsyncKit) -> None:
    """An HTTPException of a nested scope that the view catches does not roll the rest back."""

    @transactional(propagation="nested")
    async def try_it() -> None:
        (await current_session()).add(sqlite_kit.Item(name="b"))
        abort(409)

    async def respond() -> str:
        with pytest.raises(Conflict):
            await try_it()
        return "ok"

    assert (_get(sqlite_kit, respond).status_code, sqlite_kit.names()) == (200, ["a"])


@pytest.mark.parametrize("base", [MethodView, View])
def test_a_decorated_dispatch_request(sqlite_kit: AsyncKit, base: type[View]) -> None:
    """The rule applies to ``dispatch_request`` of a View, and to one that a MethodView overrides."""

    class Items(base):  # type: ignore[misc,valid-type]
        @transactional
        async def dispatch_request(self, **kwargs: Any) -> Any:
            (await current_session()).add(sqlite_kit.Item(name="a"))
            return ("", 409)

        def get(self) -> Any:
            """The method for which a MethodView lets GET in."""

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (409, [])


def test_a_helper_of_a_view_class_is_a_service(sqlite_kit: AsyncKit) -> None:
    """A method called ``get`` of a plain View answers no request, so what it returns is no status."""

    class Items(View):
        @transactional
        async def get(self) -> Any:
            (await current_session()).add(sqlite_kit.Item(name="a"))
            return ("not a status", 409)

        async def dispatch_request(self) -> Any:  # type: ignore[override]
            return str(await self.get())

    sqlite_kit.app.add_url_rule("/", view_func=Items.as_view("items"))
    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (200, ["a"])


@pytest.mark.parametrize(("status", "names"), [(201, ["a"]), (404, [])])
def test_views_of_nested_blueprints(sqlite_kit: AsyncKit, status: int, names: list[str]) -> None:
    """A view of a blueprint inside a blueprint is found under its dotted endpoint."""
    outer, inner = (Blueprint("outer", __name__), Blueprint("inner", __name__))
    inner.add_url_rule("/", "items", _view(sqlite_kit, lambda: ("", status)))
    outer.register_blueprint(inner, url_prefix="/inner")
    sqlite_kit.app.register_blueprint(outer, url_prefix="/outer")
    assert sqlite_kit.client.get("/outer/inner/").status_code == status
    assert sqlite_kit.names() == names


def test_one_view_under_two_endpoints(sqlite_kit: AsyncKit) -> None:
    """The rule holds for each endpoint of a view."""
    view = _view(sqlite_kit, lambda: ("", 400))
    sqlite_kit.app.add_url_rule("/one", "one", view)
    sqlite_kit.app.add_url_rule("/two", "two", view)
    answers = [sqlite_kit.client.get(path).status_code for path in ("/one", "/two")]
    assert (answers, sqlite_kit.names()) == ([400, 400], [])


@pytest.mark.parametrize("handled", [ValueError, Exception, 500])
def test_an_errorhandler_does_not_save_the_transaction(sqlite_kit: AsyncKit, handled: Any) -> None:
    """An exception that left the view has rolled back, whatever a handler answers."""
    sqlite_kit.app.config["PROPAGATE_EXCEPTIONS"] = False
    sqlite_kit.app.register_error_handler(handled, lambda _: ("all is well", 200))
    answer = _get(sqlite_kit, lambda: _raise(ValueError("no")))
    assert (answer.text, answer.status_code, sqlite_kit.names()) == ("all is well", 200, [])


def test_an_errorhandler_for_abort(sqlite_kit: AsyncKit) -> None:
    """The same holds for an ``abort()`` that a handler turns into a good answer."""
    sqlite_kit.app.register_error_handler(404, lambda _: ("made up", 200))
    answer = _get(sqlite_kit, lambda: abort(404))
    assert (answer.text, answer.status_code, sqlite_kit.names()) == ("made up", 200, [])


def test_an_errorhandler_may_write(sqlite_kit: AsyncKit) -> None:
    """A handler has a session, and a transaction of its own."""

    @sqlite_kit.app.errorhandler(Conflict)
    async def log(error: Conflict) -> Any:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="refused"))
        return error

    assert _get(sqlite_kit, lambda: abort(409)).status_code == 409
    assert sqlite_kit.names() == ["refused"]


@pytest.mark.parametrize(("status", "names"), [(200, ["a"]), (400, [])])
def test_the_commit_is_before_after_request(
    sqlite_kit: AsyncKit, status: int, names: list[str]
) -> None:
    """An ``after_request`` function sees the outcome and cannot change it by another status."""
    seen: list[list[str]] = []

    @sqlite_kit.app.after_request
    def turn(response: Response) -> Response:
        seen.append(sqlite_kit.names())
        response.status_code = 600 - response.status_code
        return response

    assert _get(sqlite_kit, lambda: ("", status)).status_code == 600 - status
    assert (seen, sqlite_kit.names()) == ([names], names)


def test_a_failing_after_request_comes_too_late(sqlite_kit: AsyncKit) -> None:
    """What ``after_request`` raises reaches the client, and the commit has happened."""
    sqlite_kit.app.after_request(lambda _: _raise(ValueError("late")))
    with pytest.raises(ValueError, match="late"):
        _get(sqlite_kit, lambda: "ok")
    assert sqlite_kit.names() == ["a"]


@pytest.mark.parametrize("classes", [ValueError, (KeyError, ValueError), Exception])
def test_commit_on(sqlite_kit: AsyncKit, classes: Any) -> None:
    """The exceptions of ``commit_on`` commit, and go on as they are."""
    error = ValueError("on purpose")
    with pytest.raises(ValueError, match="on purpose") as caught:
        _get(sqlite_kit, lambda: _raise(error), transactional(commit_on=classes))
    assert (caught.value, sqlite_kit.names()) == (error, ["a"])


def test_commit_on_leaves_other_exceptions_alone(sqlite_kit: AsyncKit) -> None:
    """An exception that ``commit_on`` does not name rolls back."""
    with pytest.raises(ValueError, match="no"):
        _get(sqlite_kit, lambda: _raise(ValueError("no")), transactional(commit_on=KeyError))
    assert sqlite_kit.names() == []


@pytest.mark.parametrize(("status", "names"), [(410, ["a"]), (404, [])])
def test_commit_on_an_http_exception(sqlite_kit: AsyncKit, status: int, names: list[str]) -> None:
    """``abort()`` commits where its class is in ``commit_on``."""
    answer = _get(sqlite_kit, lambda: abort(status), transactional(commit_on=(Gone,)))
    assert (answer.status_code, sqlite_kit.names()) == (status, names)


@pytest.mark.parametrize(
    ("limit", "status", "names"),
    [(500, 404, ["a"]), (500, 500, []), (300, 302, []), (300, 204, ["a"]), (600, 503, ["a"])],
)
def test_rollback_on_status(
    sqlite_kit: AsyncKit, limit: int, status: int, names: list[str]
) -> None:
    """Returned statuses below ``rollback_on_status`` commit."""
    _get(sqlite_kit, lambda: ("", status), transactional(rollback_on_status=limit))
    assert sqlite_kit.names() == names


def test_rollback_on_status_is_for_returned_statuses(sqlite_kit: AsyncKit) -> None:
    """``abort()`` rolls back below ``rollback_on_status`` too: an exception left the view."""
    _get(sqlite_kit, lambda: abort(404), transactional(rollback_on_status=500))
    assert sqlite_kit.names() == []


@pytest.mark.parametrize("value", SERVICE_VALUES, ids=repr)
def test_what_a_service_returns_is_no_status(sqlite_kit: AsyncKit, value: Any) -> None:
    """A decorated service that a view calls commits, and the view gets the very object."""
    service = _view(sqlite_kit, lambda: value)
    got: list[Any] = []

    @sqlite_kit.app.route("/")
    async def index() -> str:
        got.append(await service())
        return "ok"

    assert (sqlite_kit.client.get("/").text, sqlite_kit.names()) == ("ok", ["a"])
    assert got[0] is value


def test_a_service_inside_a_decorated_view(sqlite_kit: AsyncKit) -> None:
    """Only the view's own answer is read as a status."""

    @transactional
    async def service() -> tuple[str, int]:
        return "failed", 500

    async def respond() -> str:
        return str(await service())

    assert _get(sqlite_kit, respond).status_code == 200
    assert sqlite_kit.names() == ["a"]


def test_a_decorated_view_that_a_view_calls_is_a_service(sqlite_kit: AsyncKit) -> None:
    """The function of another endpoint is an ordinary function when a view calls it."""
    other = _view(sqlite_kit, lambda: ("conflict", 409))
    sqlite_kit.app.add_url_rule("/other", "other", other)

    @sqlite_kit.app.get("/")
    async def index() -> str:
        return str(await other())

    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (200, ["a"])
    assert (sqlite_kit.client.get("/other").status_code, sqlite_kit.names()) == (409, ["a"])


def test_a_view_that_closes_over_a_service(make_kit: MakeKit) -> None:
    """A closure of ``create_app`` over a decorated service is not taken for that service."""

    @transactional
    async def publish(kit: AsyncKit) -> tuple[str, int]:
        (await current_session()).add(kit.Item(name="a"))
        return ("published", 500)

    def add_views(kit: AsyncKit) -> Flask:

        @kit.app.post("/")
        async def index() -> str:
            return (await publish(kit))[0]

        return kit.app

    kit = make_kit()
    assert add_views(kit).test_client().post("/").text == "published"
    assert kit.names() == ["a"]


def test_a_service_raises_an_http_exception(sqlite_kit: AsyncKit) -> None:
    """A redirect that a service raises is a failure of the service."""
    service = _view(sqlite_kit, lambda: abort(redirect("/elsewhere", 303)))

    @sqlite_kit.app.get("/")
    async def index() -> Any:
        return await service()

    assert (sqlite_kit.client.get("/").status_code, sqlite_kit.names()) == (303, [])


def test_a_decorator_between_route_and_transactional(sqlite_kit: AsyncKit) -> None:
    """The view is found below decorators that use ``functools.wraps``."""

    def login_required(fn: Callable[..., Any]) -> Callable[..., Any]:

        @functools.wraps(fn)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            return await fn(*args, **kwargs)

        return wrapped

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        return login_required(login_required(transactional(fn)))

    assert _get(sqlite_kit, lambda: ("", 403), decorate).status_code == 403
    assert sqlite_kit.names() == []


def test_a_decorator_below_transactional(sqlite_kit: AsyncKit) -> None:
    """What a decorator inside answers is the view's answer."""

    def refuse(fn: Callable[..., Any]) -> Callable[..., Any]:

        @functools.wraps(fn)
        async def wrapped() -> Any:
            await fn()
            return "", 403

        return wrapped

    assert _get(sqlite_kit, lambda: "ok", lambda fn: transactional(refuse(fn))).status_code == 403
    assert sqlite_kit.names() == []


def _awaiting(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def wrapped() -> Any:
        return await fn()

    return wrapped


def _plain(app: Flask | Blueprint, _: SafeSession) -> None:

    @transactional
    @app.get("/")
    async def view() -> str:
        return "ok"


def _with_options(app: Flask | Blueprint, safe: SafeSession) -> None:

    @safe.transactional(read_only=True)
    @app.get("/", endpoint="other")
    async def view() -> str:
        return "ok"


def _around_another(app: Flask | Blueprint, _: SafeSession) -> None:

    @transactional
    @app.get("/")
    @_awaiting
    @transactional
    async def view() -> str:
        return "ok"


@pytest.mark.parametrize("register", [_plain, _with_options, _around_another])
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
    place = re.search(r"test_view_answers\.py:(\d+)\)", str(caught.value))
    assert place is not None
    assert 0 < int(place[1]) - register.__code__.co_firstlineno < 9
    assert "below the route" in str(caught.value)


def test_the_scope_bears_the_name_of_the_view(sqlite_kit: AsyncKit) -> None:
    """``current_scope().name`` is the function's, or the one that was given."""
    names: list[str] = []

    def respond() -> str:
        scope = current_scope()
        names.append("" if scope is None else scope.name)
        return "ok"

    @transactional(name="nightly")
    async def nightly() -> str:
        return respond()

    sqlite_kit.app.add_url_rule("/nightly", "nightly", nightly)
    _get(sqlite_kit, respond)
    sqlite_kit.client.get("/nightly")
    assert names == ["view", "nightly"]


def test_hooks_run_before_the_answer(sqlite_kit: AsyncKit) -> None:
    """An ``on_commit`` hook of a view has run, with the row stored, when the client gets the answer."""
    seen: list[list[str]] = []

    def respond() -> str:
        on_commit(lambda: seen.append(sqlite_kit.names()))
        return "ok"

    assert (_get(sqlite_kit, respond).text, seen) == ("ok", [["a"]])


def test_a_failing_commit_reaches_the_errorhandlers(kit: AsyncKit) -> None:
    """The COMMIT is inside dispatch: a handler answers for a deferred constraint, nothing is stored."""
    kit.app.register_error_handler(IntegrityError, lambda _: ("refused", 409))

    async def respond() -> str:
        (await current_session()).add(kit.LateChild(name="orphan", parent_id=987))
        return "ok"

    answer = _get(kit, respond)
    assert (answer.text, answer.status_code) == ("refused", 409)
    assert (kit.names(), kit.count(kit.LateChild), kit.checkedout()) == ([], 0, 0)


def test_a_failing_commit_is_an_internal_error_without_a_handler(sqlite_kit: AsyncKit) -> None:
    """Without a handler the client gets 500 and not the view's answer."""
    sqlite_kit.app.config["PROPAGATE_EXCEPTIONS"] = False

    async def respond() -> str:
        (await current_session()).add(sqlite_kit.LateChild(name="orphan", parent_id=987))
        return "ok"

    assert (_get(sqlite_kit, respond).status_code, sqlite_kit.names()) == (500, [])
