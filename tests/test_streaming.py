"""``stream_with_session()``: a response body that owns its session until it ends."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Response, current_app, g, has_app_context, request, stream_with_context, url_for
from flask.globals import app_ctx
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.test import EnvironBuilder

from flask_safesession import (
    current_scope,
    session_manager,
    stream_with_session,
    transactional,
)
from flask_safesession.errors import (
    NoAppError,
    NoTransactionError,
    UncommittedChangesError,
    UncommittedChangesWarning,
)

from .flasks import raised_at_the_end
from .kit import Kit, MakeKit

NAMES = ["a", "b", "c"]

locale = contextvars.ContextVar("locale", default="en")


class Watch:
    """What happened to the bodies and contexts of a kit."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.closed: list[str] = []
        self.ends: list[tuple[object, BaseException | None]] = []
        self.sessions: list[Session] = []
        kit.app.teardown_appcontext(self._torn_down)
        with kit.app.app_context(), session_manager() as session:
            session.add_all(kit.Item(name=name) for name in NAMES)
        self.ends.clear()

    def _torn_down(self, error: BaseException | None) -> None:
        self.ends.append((_context(), error))

    def names(self) -> Iterator[str]:
        """A body that reads in a new query for each chunk, and says how it ended."""
        session = self.kit.db.session
        try:
            for name in NAMES:
                self.sessions.append(session())
                query = select(self.kit.Item.name).where(self.kit.Item.name == name)
                yield session.scalars(query).one()
        except BaseException as error:
            self.closed.append(type(error).__name__)
            raise
        else:
            self.closed.append("read")

    def serve(self, body: Callable[[], Any], path: str = "/") -> None:
        """Answer *path* with a stream of what *body* makes."""
        self.kit.app.add_url_rule(path, path, lambda: stream_with_session(body()))

    def open(self) -> Any:
        """The body of the answer, as a server gets it: nothing of it was read."""
        return self.kit.app(EnvironBuilder("/").get_environ(), lambda *_: lambda _: None)


def _context() -> Any:
    return app_ctx._get_current_object()  # type: ignore[attr-defined]


@pytest.fixture
def watch(kit: Kit) -> Watch:
    """Flask-SQLAlchemy on each of the three databases, with three items."""
    return Watch(kit)


@pytest.fixture
def sqlite_watch(sqlite_kit: Kit) -> Watch:
    """The same on a SQLite file."""
    return Watch(sqlite_kit)


# --- how a body ends


def test_a_body_that_is_read(watch: Watch) -> None:
    """All chunks come from one session, in one context, and nothing is left."""
    watch.serve(watch.names)
    assert watch.kit.client.get("/").text == "abc"
    assert (watch.closed, len(set(watch.sessions)), watch.kit.checkedout()) == (["read"], 1, 0)
    assert [error for _, error in watch.ends] == [None, None]
    assert len({id(context) for context, _ in watch.ends}) == 2


def test_a_client_that_goes_away(watch: Watch) -> None:
    """After one chunk the server closes the body: the connection is back at once.

    The stock ``stream_with_context`` of Flask 3.1 leaves its context on the thread until then, where the next
    request of the thread finds it.
    """
    watch.serve(watch.names)
    body = watch.open()
    assert next(body) == b"a"
    assert (has_app_context(), watch.kit.checkedout()) == (False, 1)
    body.close()
    body.close()
    assert (watch.closed, watch.kit.checkedout()) == (["GeneratorExit"], 0)
    assert [type(error) for _, error in watch.ends] == [type(None), GeneratorExit]


def test_requests_between_two_chunks(watch: Watch) -> None:
    """Other requests of the same thread have their own contexts and sessions, and end them."""
    watch.serve(watch.names)
    seen: list[tuple[object, Session]] = []

    def index() -> str:
        seen.append((_context(), watch.kit.db.session()))
        return ""

    watch.kit.app.add_url_rule("/other", "other", index)
    body = watch.open()
    chunks = [(next(body), watch.kit.client.get("/other"))[0] for _ in NAMES]
    body.close()
    assert chunks == [b"a", b"b", b"c"]
    assert len({id(context) for context, _ in seen}) == 3
    assert not {session for _, session in seen} & set(watch.sessions)
    assert len(set(watch.sessions)) == 1


def test_a_body_that_is_closed_in_another_thread(watch: Watch) -> None:
    """Whoever closes it, its context ends: no token of a context variable is reset where it was not set."""
    watch.serve(watch.names)
    body = watch.open()
    next(body)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(body.close).result(timeout=10)
        assert pool.submit(has_app_context).result(timeout=10) is False
    assert (watch.closed, watch.kit.checkedout(), len(watch.ends)) == (["GeneratorExit"], 0, 2)


def test_a_body_that_is_read_by_several_threads(watch: Watch) -> None:
    """Each chunk may be asked for by another thread; the session stays the same."""
    watch.serve(watch.names)
    body = watch.open()
    chunks = []
    for _ in NAMES:
        with ThreadPoolExecutor(1) as pool:
            chunks.append(pool.submit(next, body).result(timeout=10))
    assert next(body, "end") == "end"
    assert (chunks, len(set(watch.sessions))) == ([b"a", b"b", b"c"], 1)


def test_a_body_that_is_collected_in_another_thread(watch: Watch) -> None:
    """A server that drops the body without closing it gives its connection back nevertheless."""
    with watch.kit.app.app_context():
        bodies = [stream_with_session(watch.names())]
    next(bodies[0])
    with ThreadPoolExecutor(1) as pool:
        pool.submit(bodies.clear).result(timeout=10)
    assert (watch.closed, watch.kit.checkedout()) == (["GeneratorExit"], 0)


def test_a_body_in_a_cycle(sqlite_watch: Watch) -> None:
    """The same by the cyclic collector."""
    watch = sqlite_watch
    with watch.kit.app.app_context():
        body = stream_with_session(watch.names())
    next(body)
    cycle: list[object] = [body]
    cycle.append(cycle)
    del body, cycle
    gc.collect()
    assert (watch.closed, watch.kit.checkedout()) == (["GeneratorExit"], 0)


def test_a_close_while_a_chunk_is_made(sqlite_watch: Watch) -> None:
    """Another thread's ``close()`` waits for the step that is under way."""
    watch = sqlite_watch
    inside, go_on = threading.Event(), threading.Event()

    def body() -> Iterator[str]:
        inside.set()
        assert go_on.wait(10)
        yield from watch.names()

    with watch.kit.app.app_context():
        stream = stream_with_session(body())
    with ThreadPoolExecutor(2) as pool:
        chunk = pool.submit(next, stream)
        assert inside.wait(10)
        closing = pool.submit(stream.close)
        go_on.set()
        assert chunk.result(timeout=10) == "a"
        closing.result(timeout=10)
    assert (watch.closed, watch.kit.checkedout()) == (["GeneratorExit"], 0)


def test_a_body_that_closes_itself(sqlite_watch: Watch) -> None:
    """It is told that it runs, as a generator that closes itself is."""
    streams: list[Any] = []

    def body() -> Iterator[str]:
        streams[0].close()
        yield ""

    with sqlite_watch.kit.app.app_context():
        streams.append(stream_with_session(body()))
    with pytest.raises(RuntimeError, match="already entered"):
        next(streams[0])


def test_a_body_that_is_never_started(watch: Watch) -> None:
    """A body that nobody reads opens no context, and its generator is closed."""
    generator = watch.names()
    watch.serve(lambda: generator)
    watch.open().close()
    assert list(generator) == []
    assert (watch.closed, len(watch.ends)) == ([], 1)


def test_a_head_request(watch: Watch) -> None:
    """The body of a HEAD request is never read."""
    generator = watch.names()
    watch.serve(lambda: generator)
    assert watch.kit.client.head("/").status_code == 200
    assert list(generator) == []
    assert (watch.closed, len(watch.ends)) == ([], 1)


def test_an_exception_in_the_middle(watch: Watch) -> None:
    """It goes on to the server as the same object; what the body changed is rolled back without a warning."""
    error = LookupError()

    def body() -> Iterator[str]:
        watch.kit.db.session.add(watch.kit.Item(name="d"))
        watch.kit.db.session.flush()
        yield "a"
        raise error

    watch.serve(body)
    stream = watch.open()
    assert next(stream) == b"a"
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    assert next(stream, "end") == "end"
    stream.close()
    assert (watch.kit.names(), watch.kit.checkedout()) == (NAMES, 0)
    assert [each for _, each in watch.ends] == [None, error]


def test_a_body_that_fails_to_begin(sqlite_watch: Watch) -> None:
    """What ``iter()`` raises ends the context too."""

    class Body:
        def __iter__(self) -> Iterator[str]:
            raise LookupError

    with sqlite_watch.kit.app.app_context():
        stream = stream_with_session(Body())
    with pytest.raises(LookupError):
        next(stream)
    assert [type(error) for _, error in sqlite_watch.ends] == [type(None), LookupError]


def test_a_body_that_fails_to_close(sqlite_watch: Watch) -> None:
    """Its error comes out of ``close()``, when its context has ended."""

    def body() -> Iterator[str]:
        try:
            yield from sqlite_watch.names()
        finally:
            raise LookupError

    with sqlite_watch.kit.app.app_context():
        stream = stream_with_session(body())
    next(stream)
    with pytest.raises(LookupError):
        stream.close()
    assert (list(stream), sqlite_watch.kit.checkedout()) == ([], 0)
    assert [type(error) for _, error in sqlite_watch.ends] == [type(None), LookupError]


def test_a_body_of_another_kind(sqlite_watch: Watch) -> None:
    """Any iterable is a body; its ``close()`` is called once, whatever happens first."""
    calls: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[str]:
            return sqlite_watch.names()

        def close(self) -> None:
            calls.append("close")

    sqlite_watch.serve(Body)
    assert sqlite_watch.kit.client.get("/").text == "abc"
    assert calls == ["close"]


def test_a_body_that_is_read_in_the_request(sqlite_watch: Watch) -> None:
    """An ``after_request`` function that needs the whole answer may read it."""
    sqlite_watch.serve(sqlite_watch.names)
    sizes: list[tuple[int, str]] = []

    def measure(response: Response) -> Response:
        sizes.append((len(response.get_data()), request.path))
        return response

    sqlite_watch.kit.app.after_request(measure)
    assert sqlite_watch.kit.client.get("/").text == "abc"
    assert (sizes, sqlite_watch.closed) == ([(3, "/")], ["read"])


# --- what a body stores


def test_a_scope_in_the_body(watch: Watch) -> None:
    """A body that opens a scope commits with it."""

    def body() -> Iterator[str]:
        for name in ("d", "e"):
            with session_manager() as session:
                session.add(watch.kit.Item(name=name))
            yield name

    watch.serve(body)
    assert watch.kit.client.get("/").text == "de"
    assert watch.kit.names() == [*NAMES, "d", "e"]


def test_a_scope_around_the_chunks(watch: Watch) -> None:
    """A scope may stay open from one chunk to the next; a client that goes away rolls it back."""

    def body() -> Iterator[str]:
        with session_manager(name="around") as session:
            for name in ("d", "e"):
                session.add(watch.kit.Item(name=name))
                yield str(current_scope())

    watch.serve(body)
    stream = watch.open()
    assert next(stream).startswith(b"'around'")
    assert current_scope() is None
    stream.close()
    assert (watch.kit.names(), watch.kit.checkedout()) == (NAMES, 0)
    assert watch.kit.client.get("/").text.count("around") == 2
    assert watch.kit.names() == [*NAMES, "d", "e"]


def _adding(kit: Kit) -> Callable[[], Iterator[str]]:
    def body() -> Iterator[str]:
        kit.db.session.add(kit.Item(name="d"))
        yield "d"

    return body


def test_changes_that_the_body_leaves(watch: Watch) -> None:
    """They are reported and rolled back."""
    watch.serve(_adding(watch.kit))
    with pytest.warns(UncommittedChangesWarning, match="1 new object"):
        assert watch.kit.client.get("/").text == "d"
    assert watch.kit.names() == NAMES


def test_changes_that_are_an_error(make_kit: MakeKit) -> None:
    """Where uncommitted changes are an error, the server gets it."""
    watch = Watch(make_kit(options={"uncommitted": "raise"}))
    watch.serve(_adding(watch.kit))
    with raised_at_the_end(UncommittedChangesError):
        watch.kit.client.get("/").get_data()
    assert (watch.kit.names(), watch.kit.checkedout()) == (NAMES, 0)


# --- what a body sees


def test_what_a_body_sees(sqlite_watch: Watch) -> None:
    """The app, an empty ``g``, the context variables of the view, and the request as the view left it."""
    watch = sqlite_watch

    def body() -> Iterator[str]:
        yield f"{current_app.name == watch.kit.app.name} {'user' in g} {locale.get()} "
        yield f"{request.args['q']} {request.path} {url_for('view')}"

    def view() -> Any:
        g.user = "somebody"
        token = locale.set("de")
        try:
            return stream_with_session(body())
        finally:
            locale.reset(token)

    watch.kit.app.add_url_rule("/view", "view", view)
    assert watch.kit.client.get("/view?q=word").text == "True False de word /view /view"


def test_a_decorated_body(sqlite_watch: Watch) -> None:
    """On a generator function the decorator makes a new body for each call, also where the view is the generator."""
    watch = sqlite_watch

    @stream_with_session
    def body(prefix: str) -> Iterator[str]:
        """Lines with a prefix."""
        for name in watch.names():
            yield prefix + name

    watch.kit.app.add_url_rule("/<prefix>", "view", body)
    assert (body.__name__, body.__doc__) == ("body", "Lines with a prefix.")
    assert [watch.kit.client.get(f"/{each}").text for each in "-+"] == ["-a-b-c", "+a+b+c"]


def test_the_body_of_a_transactional_view(watch: Watch) -> None:
    """The view's transaction has ended, and the body uses a session of its own."""

    @transactional
    def view() -> Any:
        watch.kit.db.session.add(watch.kit.Item(name="d"))
        return stream_with_session(watch.names()), 201

    watch.kit.app.add_url_rule("/", "view", view)
    assert watch.kit.client.get("/").text == "abc"
    assert (watch.kit.names(), watch.kit.checkedout()) == ([*NAMES, "d"], 0)


def test_the_body_of_a_transactional_view_in_a_response(sqlite_watch: Watch) -> None:
    """The same in a response that the view has made, and in a view that is a generator."""
    watch = sqlite_watch

    @transactional
    def view() -> Response:
        return Response(stream_with_session(watch.names()))

    watch.kit.app.add_url_rule("/", "view", view)
    watch.kit.app.add_url_rule("/other", "other", transactional(stream_with_session(watch.names)))
    assert watch.kit.client.get("/").text == watch.kit.client.get("/other").text == "abc"


def test_a_body_inside_a_body(sqlite_watch: Watch) -> None:
    """One that is made while the body of a transactional view runs may use its session too."""
    watch = sqlite_watch

    def body() -> Iterator[str]:
        yield from stream_with_session(watch.names())

    watch.kit.app.add_url_rule("/", "view", transactional(lambda: stream_with_context(body())))
    assert watch.kit.client.get("/").text == "abc"


EXPRESSIONS: dict[str, Callable[[Kit], Iterator[str]]] = {
    "a query": lambda kit: (item.name for item in kit.db.session.query(kit.Item)),
    "a result": lambda kit: (item.name for item in kit.db.session.scalars(select(kit.Item))),
    "a list": lambda kit: (item.name for item in kit.db.session.scalars(select(kit.Item)).all()),
}


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_a_generator_expression(sqlite_watch: Watch, case: str) -> None:
    """It has the session of the view, which has ended: SQLAlchemy's errors, and ours, say how that comes."""
    kit = sqlite_watch.kit
    view = transactional(lambda: stream_with_session(EXPRESSIONS[case](kit)))
    kit.app.add_url_rule("/", "view", view)
    with pytest.raises((SQLAlchemyError, NoTransactionError)) as caught:
        kit.client.get("/")
    assert "Write a generator function" in vars(caught.value)["__notes__"][-1]


def test_a_generator_expression_with_an_error_of_its_own(sqlite_watch: Watch) -> None:
    """It is the business of its author."""
    with sqlite_watch.kit.app.app_context(), pytest.raises(ZeroDivisionError) as caught:
        next(stream_with_session(1 // each for each in [0]))
    assert "__notes__" not in vars(caught.value)


# --- what is refused


async def _asynchronous() -> Any:
    yield ""


REFUSED: dict[str, tuple[Any, str]] = {
    "a string": ("abc", r"was given 'abc'\. Give a generator"),
    "a number": (3, r"was given 3\. Give a generator"),
    "a class": (list, r"was given <class 'list'>\. Give a generator"),
    "a function": (test_a_head_request, "on 'test_a_head_request', which is no generator function"),
    "an asynchronous function": (_asynchronous, "_asynchronous.*, an asynchronous generator"),
    "an asynchronous generator": (_asynchronous(), "_asynchronous.*, an asynchronous generator"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_body(sqlite_kit: Kit, given: Any, message: str) -> None:
    """Only a generator can run in a session of its own."""
    with sqlite_kit.app.app_context(), pytest.raises(TypeError, match=message):
        stream_with_session(given)


def test_a_stream_without_an_app(sqlite_kit: Kit) -> None:
    """There is no app whose session the body could own."""
    with pytest.raises(NoAppError):
        stream_with_session([])
    with pytest.raises(NoAppError):
        stream_with_session(_adding(sqlite_kit))()


def test_the_method_serves_its_own_app(sqlite_watch: Watch, make_kit: MakeKit) -> None:
    """``SafeSession.stream_with_session`` is the same, for its own app only."""
    stream = sqlite_watch.kit.safe.stream_with_session
    with sqlite_watch.kit.app.app_context():
        body = stream(sqlite_watch.names)()
    assert list(body) == NAMES
    with make_kit().app.app_context(), pytest.raises(NoAppError, match="while the current app is"):
        stream([])
