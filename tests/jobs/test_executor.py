"""``AppContextExecutor`` and its futures, their callbacks and their shutdown."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from typing import Any

import pytest
from flask import current_app, g, has_app_context
from sqlalchemy import insert, select

from flask_safesession import (
    AppContextExecutor,
    AppContextManager,
    ShutdownReport,
    on_commit,
    on_rollback,
    session_manager,
)
from flask_safesession.errors import NoAppError, SafeSessionWarning, StaleContextWarning

from ..kit import Kit, MakeKit


def _tagged(tag: int) -> tuple[int, str]:
    return tag, threading.current_thread().name


def test_it_is_a_thread_pool(sqlite_kit: Kit) -> None:
    """The futures are futures, ``wait`` and ``as_completed`` work, and the arguments are the stock ones."""
    started: list[int] = []
    manager = AppContextManager(sqlite_kit.app)
    with manager.executor(
        2, thread_name_prefix="jobs", initializer=started.append, initargs=(1,)
    ) as executor:
        assert isinstance(executor, ThreadPoolExecutor)
        futures = [executor.submit(_tagged, at) for at in range(4)]
        assert isinstance(futures[0], Future)
        done = {future.result() for future in as_completed(futures, timeout=10)}
    assert {at for at, _ in done} == {0, 1, 2, 3}
    assert {name.rpartition("_")[0] for _, name in done} == {"jobs"}
    assert set(started) == {1}


def test_its_own_constructor(sqlite_kit: Kit) -> None:
    """It can be made without a manager, and takes the arguments of both."""
    with AppContextExecutor(1, app=sqlite_kit.app, transactional=True) as executor:
        executor.submit(lambda: sqlite_kit.db.session.add(sqlite_kit.Item(name="a"))).result(10)
    assert sqlite_kit.names() == ["a"]


def test_the_app_of_the_submitter(make_kit: MakeKit) -> None:
    """Made without an app, at import time as it were, it serves several apps."""
    first, second = make_kit(), make_kit()
    names = []
    with AppContextExecutor(1) as executor:
        for kit in (first, second):
            with kit.app.app_context():
                names.append(executor.submit(lambda: current_app.name).result(10))
        with pytest.raises(NoAppError):
            executor.submit(print)
    assert names == [first.app.name, second.app.name]


def test_map(kit: Kit) -> None:
    """``map`` gives the results in order; each call is a unit of work of its own."""
    manager = AppContextManager(kit.app, transactional=True)

    def store(name: str, amount: int) -> Any:
        kit.db.session.add(kit.Item(name=name, amount=amount))
        return kit.db.session()

    with manager.executor(2) as executor:
        sessions = list(executor.map(store, "abc", range(3), timeout=20, chunksize=2))
    assert (kit.names(), len(set(sessions)), kit.checkedout()) == (["a", "b", "c"], 3, 0)


def test_the_job_is_over_when_its_future_is_done(kit: Kit) -> None:
    """Stored, hooks run and the connection back before anybody can see the result."""
    order: list[Any] = []

    def job() -> str:
        kit.db.session.add(kit.Item(name="a"))
        on_commit(order.append, "hook")
        return "result"

    with AppContextManager(kit.app, transactional=True).executor(1) as executor:
        future = executor.submit(job)
        order.append(future.result(10))
        assert (order, kit.names(), kit.checkedout()) == (["hook", "result"], ["a"], 0)


def test_the_error_and_its_traceback(sqlite_kit: Kit) -> None:
    """The future has the very exception, with the line of the job in its traceback."""
    error = KeyError("job")

    def job() -> None:
        raise error

    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        raised = executor.submit(job).exception(10)
    assert raised is error
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    assert at is not None
    assert at.tb_frame.f_code.co_name == "job"


def test_what_a_job_used_is_freed(sqlite_kit: Kit) -> None:
    """Neither executor nor future keeps function, arguments or result alive."""

    class Thing:
        pass

    thing = Thing()
    ended = threading.Event()
    weakref.finalize(thing, ended.set)
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future = executor.submit(lambda given: None, thing)
        del thing
        future.result(10)
        assert ended.wait(10)


def test_an_executor_that_nobody_refers_to(sqlite_kit: Kit) -> None:
    """It ends its threads, as the stock one does, also while a future is kept."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    future = executor.submit(threading.current_thread)
    thread = future.result(10)
    del executor
    gc.collect()
    thread.join(10)
    assert (thread.is_alive(), future.done()) == (False, True)


def test_after_the_shutdown(sqlite_kit: Kit) -> None:
    """Nothing can be submitted any more."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(print)


def test_a_thread_on_which_a_context_was_left(sqlite_kit: Kit) -> None:
    """A worker whose initializer pushed a context is healed at its next job, with a warning."""
    kit = sqlite_kit

    def push() -> None:
        kit.app.app_context().push()
        g.left = True
        kit.db.session.execute(select(1))

    executor = AppContextManager(kit.app).executor(1, initializer=push)
    with (
        executor,
        pytest.warns(
            StaleContextWarning, match="The thread 'ThreadPoolExecutor-.*' left 1 context"
        ),
    ):
        assert executor.submit(lambda: (list(g), kit.checkedout())).result(10) == ([], 0)
        executor.submit(print).result(10)


# --- done-callbacks


@contextmanager
def _running(executor: AppContextExecutor) -> Iterator[tuple[Future[str], Callable[[], object]]]:
    """A future whose job ends when it is told to."""
    go = threading.Event()
    future = executor.submit(lambda: str(go.wait(10)))
    try:
        yield future, go.set
    finally:
        go.set()


@pytest.mark.parametrize("early", [True, False])
def test_a_callback_is_a_unit_of_its_own(kit: Kit, early: bool) -> None:
    """Registered before or after the end, inside a scope: it has its own context, session and transaction."""
    seen: list[Any] = []

    def note(future: Future[str]) -> None:
        kit.db.session.add(kit.Item(name=future.result()))
        seen.append((current_app.name, kit.db.session()))

    manager = AppContextManager(kit.app, transactional=True)
    with manager.executor(1) as executor, kit.app.app_context(), session_manager() as session:
        with _running(executor) as (future, end):
            if not early:
                end()
                future.result(10)
            future.add_done_callback(note)
        wait([future], 10)
        executor.shutdown()
        assert [(name, each is session) for name, each in seen] == [(kit.app.name, False)]
        assert kit.names() == ["True"]


def test_a_callback_that_is_registered_outside(sqlite_kit: Kit) -> None:
    """Without any context it has that of the job's app."""
    names: list[str] = []
    with AppContextExecutor(1) as executor:
        with sqlite_kit.app.app_context():
            future = executor.submit(int)
        future.result(10)
        future.add_done_callback(lambda _: names.append(current_app.name))
    assert (names, has_app_context()) == ([sqlite_kit.app.name], False)


def test_a_callback_that_fails(sqlite_kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, rolled back, and neither the result nor the other callbacks notice."""
    kit = sqlite_kit
    called: list[str] = []

    def fail(_: object) -> None:
        kit.db.session.add(kit.Item(name="a"))
        raise KeyError("callback")

    with AppContextManager(kit.app, transactional=True).executor(1) as executor:
        with _running(executor) as (future, _):
            future.add_done_callback(fail)
            future.add_done_callback(lambda _: called.append("second"))
        assert future.result(10) == "True"
    assert (kit.names(), called) == ([], ["second"])
    assert [record.message.partition(" for ")[0] for record in caplog.records] == [
        "exception calling callback"
    ]


def test_a_callback_of_a_cancelled_job(sqlite_kit: Kit) -> None:
    """It is called once, like any other."""
    called: list[bool] = []
    with AppContextManager(sqlite_kit.app).executor(1) as executor, _running(executor):
        future = executor.submit(print)
        future.add_done_callback(lambda each: called.append(each.cancelled()))
        assert future.cancel()
    assert called == [True]


# --- shutdown


def test_a_shutdown_reports_what_finished(sqlite_kit: Kit) -> None:
    """Jobs that were waiting or running are counted; those done before are not."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    executor.submit(print).result(10)
    with _running(executor):
        executor.submit(print)
    assert executor.shutdown() in {ShutdownReport(at, 0, 0) for at in range(3)}
    assert executor.shutdown() == ShutdownReport(0, 0, 0)


def test_a_shutdown_that_cancels(sqlite_kit: Kit) -> None:
    """``cancel_futures`` drops what has not begun, as in a stock executor."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    with _running(executor) as (_, end):
        waiting = [executor.submit(print) for _ in range(3)]
        report = executor.shutdown(wait=False, cancel_futures=True)
        end()
    executor.shutdown()
    assert (report, [each.cancelled() for each in waiting]) == (ShutdownReport(0, 3, 0), [True] * 3)


def test_a_shutdown_that_drains(kit: Kit) -> None:
    """``drain`` waits for every job, with ``wait=False`` too."""
    executor = AppContextManager(kit.app, transactional=True).executor(1)

    def store(name: str) -> None:
        kit.db.session.add(kit.Item(name=name))

    with _running(executor) as (_, end):
        for name in "abc":
            executor.submit(store, name)
        threading.Timer(0.05, end).start()
        report = executor.shutdown(wait=False, drain=True)
    executor.shutdown()
    assert (report, kit.names()) == (ShutdownReport(4, 0, 0), ["a", "b", "c"])


def test_a_shutdown_with_a_timeout(kit: Kit) -> None:
    """What still runs is reported as failed and rolls back; what has not begun is cancelled; one warning has both."""
    executor = AppContextManager(kit.app, transactional=True).executor(1)
    began, go = threading.Event(), threading.Event()
    ended: list[str] = []

    def job() -> None:
        kit.db.session.execute(insert(kit.Item), {"name": "late"})
        on_rollback(ended.append, "rolled back")
        on_commit(ended.append, "committed")
        began.set()
        go.wait(10)

    running = executor.submit(job)
    waiting = executor.submit(job)
    assert began.wait(10)
    text = r"after 0.05 s 1 job\(s\) were still running and 1 had not begun"
    with pytest.warns(SafeSessionWarning, match=text) as caught:
        report = executor.shutdown(drain=True, timeout=0.05)
    assert (report, caught[0].filename) == (ShutdownReport(0, 1, 1), __file__)
    with pytest.raises(TimeoutError, match=r"still running after 0\.05 s"):
        running.result(0)
    assert waiting.cancelled()
    go.set()
    executor.shutdown()
    assert (ended, kit.names(), kit.checkedout()) == (["rolled back"], [], 0)
    assert isinstance(running.exception(0), TimeoutError)


def test_a_shutdown_that_meets_a_commit(sqlite_kit: Kit) -> None:
    """A job that has begun to commit at the timeout is waited for: it is not reported as failed and stored."""
    kit = sqlite_kit
    executor = AppContextManager(kit.app, transactional=True).executor(1)
    began, go = threading.Event(), threading.Event()

    def hook() -> None:
        began.set()
        go.wait(10)

    def job() -> str:
        kit.db.session.add(kit.Item(name="a"))
        on_commit(hook)
        return "result"

    future = executor.submit(job)
    assert began.wait(10)
    threading.Timer(0.1, go.set).start()
    assert (executor.shutdown(timeout=0), future.result(0)) == (ShutdownReport(1, 0, 0), "result")
    assert kit.names() == ["a"]


def test_a_job_that_fails_after_it_was_abandoned(sqlite_kit: Kit) -> None:
    """The first word counts: its future keeps the TimeoutError."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    began, go = threading.Event(), threading.Event()

    def job() -> None:
        began.set()
        go.wait(10)
        raise KeyError

    future = executor.submit(job)
    assert began.wait(10)
    with pytest.warns(SafeSessionWarning):
        executor.shutdown(timeout=0)
    go.set()
    executor.shutdown()
    assert isinstance(future.exception(0), TimeoutError)


def test_a_job_that_fails_while_it_is_abandoned(sqlite_kit: Kit) -> None:
    """Its thread lives on: two words for one future once ended it, as stock lets an ``InvalidStateError`` do."""
    began, go, arrived = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        began.set()
        go.wait(10)
        raise KeyError

    class Gate:
        """The lock of the future, at which the job's thread arrives with its error."""

        def __enter__(self) -> Any:
            if threading.current_thread() is not threading.main_thread():
                arrived.set()
            return condition.__enter__()

        def __exit__(self, *error: object) -> Any:
            return condition.__exit__(*error)

        def __getattr__(self, name: str) -> Any:
            return getattr(condition, name)

    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future: Any = executor.submit(job)
        condition = future._condition
        assert began.wait(10)
        with condition:
            future._condition = Gate()
            go.set()
            assert arrived.wait(10)
            assert future.abandon(TimeoutError()) is True
        assert executor.submit(int).result(10) == 0
    assert isinstance(future.exception(0), TimeoutError)


def test_a_future_that_is_done(sqlite_kit: Kit) -> None:
    """A second word for it is an error, as in stock."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future = executor.submit(int)
        assert future.result(10) == 0
        with pytest.raises(InvalidStateError):
            future.set_exception(KeyError())


def test_a_job_that_fails_at_the_timeout(sqlite_kit: Kit) -> None:
    """It is not abandoned when its error came first."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        future: Any = executor.submit(int, "no number")
        wait([future], 10)
        assert future.abandon(TimeoutError()) is False
        assert isinstance(future.exception(0), ValueError)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"drain": True, "cancel_futures": True}, "Give one of them"),
        ({"timeout": -1}, "'timeout' is -1"),
        ({"timeout": float("nan")}, "'timeout' is nan"),
    ],
)
def test_a_shutdown_that_makes_no_sense(sqlite_kit: Kit, wrong: dict[str, Any], text: str) -> None:
    """It is refused, and the executor goes on."""
    with AppContextManager(sqlite_kit.app).executor(1) as executor:
        with pytest.raises(ValueError, match=text):
            executor.shutdown(**wrong)
        assert executor.submit(int).result(10) == 0


def test_who_waits_for_a_dropped_job_is_told(sqlite_kit: Kit) -> None:
    """A cancelled job counts as done for ``wait`` while the one before it still runs."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    with _running(executor):
        waiting = [executor.submit(print) for _ in range(2)]
        with pytest.warns(SafeSessionWarning):
            executor.shutdown(timeout=0)
        assert wait(waiting, 10).not_done == set()
    executor.shutdown()


def test_a_job_that_waits_for_itself(sqlite_kit: Kit) -> None:
    """It is told so, where it would wait for ever."""
    executor = AppContextManager(sqlite_kit.app).executor(1)
    with pytest.raises(RuntimeError, match="and is one of them"):
        executor.submit(lambda: executor.shutdown(drain=True)).result(10)
    executor.shutdown()


def test_more_futures_than_are_remembered_when_done(sqlite_kit: Kit) -> None:
    """Of those that are done and kept nothing is remembered for long."""
    with AppContextExecutor(max_workers=2, app=sqlite_kit.app) as executor:
        done = [executor.submit(int, str(number)) for number in range(64)]
        assert [each.result(timeout=20) for each in done] == list(range(64))
        assert executor.submit(int, "64").result(timeout=20) == 64
        assert len(executor._outstanding.refs) <= 1
