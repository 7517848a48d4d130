"""``AppContextManager``: a new context and session for a block, a function, a thread."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, cast

import pytest
from flask import Flask, current_app, g, has_app_context, has_request_context
from sqlalchemy.exc import IntegrityError

from flask_safesession import AppContextManager, current_scope, on_commit, session_manager
from flask_safesession.errors import NoAppError, StaleContextError, StaleContextWarning

from ..kit import Kit, MakeKit

trace: ContextVar[str] = ContextVar("trace", default="none")

# Every way to run one function in a context of its own.
Run = Callable[[AppContextManager, Callable[..., Any]], Any]


def _block(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    with manager:
        return fn()


def _decorated(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    return manager(fn)()


def _wrapped(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    return manager.wrap(fn)()


def _threaded(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    results: list[Any] = []
    raised: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda hooked: raised.append(cast("BaseException", hooked.exc_value))
    try:
        thread = manager.thread(_collecting(fn, results))
        thread.start()
        thread.join(10)
    finally:
        threading.excepthook = before
    if raised:
        raise raised[0]
    return results[0]


def _collecting(fn: Callable[..., Any], results: list[Any]) -> Callable[[], None]:
    @functools.wraps(fn)
    def target() -> None:
        results.append(fn())

    return target


def _executed(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    with manager.executor(1) as executor:
        return executor.submit(fn).result(10)


def _to_thread(manager: AppContextManager, fn: Callable[..., Any]) -> Any:
    return asyncio.run(manager.to_thread(fn))


ELSEWHERE = (_threaded, _executed, _to_thread)
JOBS = (_decorated, _wrapped, *ELSEWHERE)
EVERYWHERE = (_block, *JOBS)


@pytest.fixture(params=EVERYWHERE, ids=lambda run: run.__name__[1:])
def run(request: pytest.FixtureRequest) -> Run:
    """Each way of running."""
    way: Run = request.param
    return way


@pytest.fixture(params=JOBS, ids=lambda run: run.__name__[1:])
def run_job(request: pytest.FixtureRequest) -> Run:
    """Each way of running a function."""
    way: Run = request.param
    return way


# --- the app


def test_the_given_app(sqlite_kit: Kit, run: Run) -> None:
    """Without any context the given app is the current one."""
    name = run(AppContextManager(sqlite_kit.app), lambda: current_app.name)
    assert (name, has_app_context()) == (sqlite_kit.app.name, False)


def test_the_app_of_the_caller(sqlite_kit: Kit, run: Run) -> None:
    """A manager without an app, which may be made at import time, takes the caller's."""
    manager = AppContextManager()
    with sqlite_kit.app.app_context():
        assert run(manager, lambda: current_app.name) == sqlite_kit.app.name


def test_the_given_app_wins(sqlite_kit: Kit, run: Run) -> None:
    """Two apps in one process: the context of one does not matter to the manager of the other."""
    manager = AppContextManager(sqlite_kit.app)
    with Flask("other").app_context():
        assert run(manager, lambda: current_app.name) == sqlite_kit.app.name


def test_no_app(run: Run) -> None:
    """Without an app and a context the error names the fix."""
    with pytest.raises(NoAppError, match=r"Give it the app: 'AppContextManager\(app\)'"):
        run(AppContextManager(), lambda: None)


# --- the context


def test_each_job_has_a_session_of_its_own(any_kit: Kit, run: Run) -> None:
    """Neither the caller's session nor its scope is there, and ``g`` is empty."""
    kit = any_kit

    def look() -> tuple[Any, Any, list[str]]:
        scope = current_scope()
        with session_manager() as session:
            return session, scope, list(g)

    with kit.app.app_context(), session_manager() as outer:
        g.number = 1
        inner, scope, names = run(AppContextManager(kit.app), look)
        assert (inner is outer, scope, names) == (False, None, [])
    assert kit.checkedout() == 0


def test_context_variables_travel(sqlite_kit: Kit, run: Run) -> None:
    """A trace id of the caller is there."""
    token = trace.set("abc")
    try:
        assert run(AppContextManager(sqlite_kit.app), trace.get) == "abc"
    finally:
        trace.reset(token)


def test_context_variables_do_not_travel_back(sqlite_kit: Kit, run_job: Run) -> None:
    """What a job sets is not seen outside."""
    run_job(AppContextManager(sqlite_kit.app), lambda: trace.set("changed"))
    assert trace.get() == "none"


def test_the_request_is_not_there(sqlite_kit: Kit, run_job: Run) -> None:
    """A job has an application context and no request."""
    with sqlite_kit.app.test_request_context():
        there = run_job(
            AppContextManager(sqlite_kit.app), lambda: (has_app_context(), has_request_context())
        )
    assert there == (True, False)


def test_a_job_of_a_hook_is_in_no_hook(sqlite_kit: Kit, run_job: Run) -> None:
    """A job that a hook runs registers hooks with its own transaction."""
    kit = sqlite_kit
    order: list[str] = []

    def job() -> None:
        with session_manager() as session:
            session.add(kit.Item(name="job"))
            on_commit(lambda: order.append(f"hook of the job, {kit.names()}"))
            order.append("body of the job")

    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="caller"))
        on_commit(run_job, AppContextManager(kit.app), job)
    assert order == ["body of the job", "hook of the job, ['caller', 'job']"]


# --- propagate_g


def test_values_of_g(sqlite_kit: Kit, run: Run) -> None:
    """Just the named values are copied; a missing one is skipped."""
    manager = AppContextManager(sqlite_kit.app, propagate_g=("user", "missing"))
    with sqlite_kit.app.app_context():
        g.user, g.other = "ann", "secret"
        assert run(manager, lambda: {name: g.get(name) for name in g}) == {"user": "ann"}


def test_values_of_g_are_those_of_the_submit(sqlite_kit: Kit) -> None:
    """Rebinding on either side is not seen on the other."""
    manager = AppContextManager(sqlite_kit.app, propagate_g=("user",))
    rebound = threading.Event()

    def look() -> str:
        assert rebound.wait(10)
        seen: str = g.user
        g.user = "changed by the job"
        return seen

    with sqlite_kit.app.app_context(), manager.executor(1) as executor:
        g.user = "ann"
        future = executor.submit(look)
        g.user = "bob"
        rebound.set()
        assert (future.result(10), g.user) == ("ann", "bob")


def test_a_thread_looks_when_it_is_started(sqlite_kit: Kit) -> None:
    """App and ``g`` are those of whoever starts the thread."""
    seen: list[str] = []
    thread = AppContextManager(propagate_g=("user",)).thread(
        lambda: seen.append(f"{g.user} in {current_app.name}"), name="worker"
    )
    with sqlite_kit.app.app_context():
        g.user = "ann"
        thread.start()
        thread.join(10)
    assert (seen, thread.name) == ([f"ann in {sqlite_kit.app.name}"], "worker")


def test_a_thread_that_is_run_directly(sqlite_kit: Kit) -> None:
    """``run()`` works without ``start()``, as it does for a plain thread."""
    seen: list[str] = []
    AppContextManager(sqlite_kit.app).thread(lambda: seen.append(current_app.name)).run()
    assert seen == [sqlite_kit.app.name]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"propagate_g": ("_login_user",)}, ValueError, "begins with an underscore"),
        ({"propagate_g": "user"}, TypeError, r"such as 'propagate_g=\(\"user_id\",\)'"),
        ({"propagate_g": (1,)}, TypeError, "Give a tuple of names"),
        ({"instances": "reloaded"}, ValueError, "one of 'raise', 'reload'"),
        ({"transactional": 1}, TypeError, "Set it to True or False"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], error: type[Exception], text: str) -> None:
    """They are refused when the manager is made."""
    with pytest.raises(error, match=text):
        AppContextManager(**wrong)


# --- the end


def test_what_is_not_committed_is_rolled_back(kit: Kit, run: Run) -> None:
    """Without ``transactional`` nothing is stored by itself, and the connection is back."""
    with pytest.warns(match="ended with changes"):
        run(AppContextManager(kit.app), lambda: kit.db.session.add(kit.Item(name="a")))
    assert (kit.names(), kit.checkedout()) == ([], 0)


def test_a_transactional_job_commits(kit: Kit, run: Run) -> None:
    """With ``transactional=True`` the job is one scope, stored before the caller goes on."""
    manager = AppContextManager(kit.app, transactional=True)
    run(manager, lambda: kit.db.session.add(kit.Item(name="a")))
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_a_transactional_job_that_fails(kit: Kit, run: Run) -> None:
    """It rolls back, and the error is the one that it raised."""
    error = KeyError("job")

    def job() -> None:
        kit.db.session.add(kit.Item(name="a"))
        kit.db.session.flush()
        raise error

    with pytest.raises(KeyError) as caught:
        run(AppContextManager(kit.app, transactional=True), job)
    assert (caught.value is error, kit.names(), kit.checkedout()) == (True, [], 0)


def test_a_failing_commit_fails_the_job(kit: Kit, run: Run) -> None:
    """A row that violates a constraint at COMMIT, or at the flush before it, is the caller's error."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
    manager = AppContextManager(kit.app, transactional=True)
    with pytest.raises(IntegrityError):
        run(manager, lambda: kit.db.session.add(kit.Item(name="a")))
    assert (kit.names(), kit.checkedout()) == (["a"], 0)


def test_a_scope_that_cannot_be_opened(make_kit: MakeKit) -> None:
    """A block whose database is not there leaves no context behind."""
    app = Flask("without a database")
    with pytest.raises(NoAppError), AppContextManager(app, transactional=True):
        pytest.fail("the block has run")
    assert not has_app_context()


def test_hooks_run_before_the_job_is_done(sqlite_kit: Kit, run: Run) -> None:
    """``on_commit`` hooks of a transactional job have run when the caller goes on."""
    order: list[str] = []
    run(
        AppContextManager(sqlite_kit.app, transactional=True),
        lambda: on_commit(order.append, "hook"),
    )
    assert order == ["hook"]


# --- contexts that are left behind


def test_a_context_that_a_job_left(sqlite_kit: Kit, run_job: Run) -> None:
    """It is popped, its session rolled back, and a warning says who left it."""
    kit = sqlite_kit

    def leave() -> str:
        kit.app.app_context().push()
        kit.db.session.execute(kit.models.Item.__table__.select())
        return "result"

    with pytest.warns(
        StaleContextWarning,
        match=r"^'(leave|target)' \(tests/jobs/test_manager.py:\d+\) left 1 context",
    ):
        result = run_job(AppContextManager(kit.app), leave)
    assert (result, has_app_context(), kit.checkedout()) == ("result", False, 0)


def test_a_request_context_that_a_job_left(sqlite_kit: Kit, run_job: Run) -> None:
    """A request context is popped with the application context that it lies on."""
    kit = sqlite_kit

    def leave() -> None:
        kit.app.test_request_context().push()

    with pytest.warns(StaleContextWarning, match="left 1 context"):
        run_job(AppContextManager(kit.app), functools.partial(leave))
    assert not has_request_context()


def test_a_context_that_a_job_popped(sqlite_kit: Kit) -> None:
    """A job that pops the context that it was given is told so."""

    def pop() -> None:
        from flask.globals import app_ctx

        app_ctx.pop()

    with pytest.raises(StaleContextError, match=r"'pop' .* popped the application context"):
        AppContextManager(sqlite_kit.app).wrap(pop)()


# --- what cannot be decorated


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("fn", [_generator, 3], ids=["generator", "number"])
def test_what_a_manager_does_not_decorate(sqlite_kit: Kit, fn: Any) -> None:
    """A body that runs after the call has returned would have no context."""
    with pytest.raises(TypeError, match="'@AppContextManager' was put on"):
        AppContextManager(sqlite_kit.app)(fn)


def test_a_decorated_function_keeps_its_name(sqlite_kit: Kit) -> None:
    """Name, signature and result are those of the function."""

    @AppContextManager(sqlite_kit.app)
    def double(number: int) -> int:
        """Twice."""
        return 2 * number

    assert (double.__name__, double.__doc__, double(4)) == ("double", "Twice.", 8)
