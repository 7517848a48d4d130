"""Jobs and listeners of APScheduler 3."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from apscheduler.events import (
    EVENT_JOB_ADDED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
)
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import BasePoolExecutor, ProcessPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import undefined
from flask import current_app, g, has_app_context, has_request_context, request
from flask.globals import app_ctx
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from flask_safesession import current_scope, session_manager
from flask_safesession.contrib.apscheduler import add_job_on_commit, init_scheduler, job_options
from flask_safesession.errors import DetachedArgumentError, NoAppError, NoTransactionError

from ..kit import Kit, MakeKit
from ..workers import StartWorker, database_environ
from . import apscheduler_program as program

ENDS = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES


class Bench:
    """A kit and a scheduler whose events can be waited for."""

    def __init__(self, kit: Kit, scheduler: Any = None, **options: Any) -> None:
        self.kit = kit
        self.scheduler = scheduler or BackgroundScheduler()
        program.provide(kit)
        init_scheduler(self.scheduler, kit.app, **options)
        self._events: queue.Queue[Any] = queue.Queue()
        self.scheduler.add_listener(self._events.put, ENDS)

    def next(self) -> Any:
        """The next event of the end of a job."""
        return self._events.get(timeout=20)

    def run(self, fn: Callable[..., object] | str, *args: Any, **options: Any) -> Any:
        """Run a job now, and return its event."""
        self.scheduler.add_job(fn, args=args, misfire_grace_time=None, **options)
        if not self.scheduler.running:
            self.scheduler.start()
        return self.next()

    def stop(self) -> None:
        """Shut down, and not in the middle of a round, where stock fails to remove the job that it has just begun."""
        self.scheduler.get_jobs()  # waits for the end of the round
        self.scheduler.shutdown()


def ending(bench: Bench) -> Iterator[Bench]:
    """Shut the scheduler down at the end of the test."""
    try:
        yield bench
    finally:
        if bench.scheduler.running:
            bench.stop()


@pytest.fixture
def bench(sqlite_kit: Kit) -> Iterator[Bench]:
    """A scheduler in the background, on a SQLite file."""
    yield from ending(Bench(sqlite_kit))


@pytest.fixture
def database_bench(kit: Kit) -> Iterator[Bench]:
    """A scheduler whose jobs are transactional, on each of the three databases."""
    yield from ending(Bench(kit, transactional=True))


def now() -> datetime:
    return datetime.now(timezone.utc)


class TestContexts:
    """Contexts and sessions."""

    def test_each_run_has_its_own(self, bench: Bench) -> None:
        """Four runs that were due at once: one app, four contexts, four sessions, nothing on ``g``."""
        seen: list[Any] = []

        def look() -> None:
            session = bench.kit.db.session()
            seen.append((app_ctx._get_current_object(), session, "left" in g))  # type: ignore[attr-defined]
            g.left = True

        due = {"next_run_time": now() - timedelta(seconds=3), "coalesce": False}
        bench.run(look, trigger="interval", seconds=1, **due)
        events = [bench.next() for _ in range(3)]
        assert [each.code for each in events] == [EVENT_JOB_EXECUTED] * 3
        contexts, sessions, left = (set(column) for column in zip(*seen[:4], strict=True))
        assert [each.app for each in contexts] == [bench.kit.app] * 4
        assert (len(sessions), left) == (4, {False})

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_what_fails_leaves_nothing(self, bench: Bench, error: type[BaseException]) -> None:
        """The listeners hear of the very exception; the row is rolled back, the connection is back."""
        raised = error("no")

        def fail() -> None:
            with session_manager() as session:
                session.add(bench.kit.Item(name="tea"))
                session.flush()
                raise raised

        event = bench.run(fail)
        assert (event.code, event.exception) == (EVENT_JOB_ERROR, raised)
        assert "in fail" in event.traceback
        assert (bench.kit.names(), bench.kit.checkedout()) == ([], 0)

    def test_listeners_have_their_own(self, bench: Bench) -> None:
        """A listener has a context and a session, and neither is the job's; two listeners share none."""
        seen: list[Any] = []

        def look(*_: Any) -> None:
            seen.append((app_ctx._get_current_object(), bench.kit.db.session()))  # type: ignore[attr-defined]

        def look_too(event: Any) -> None:
            look()

        bench.scheduler.add_listener(look, EVENT_JOB_EXECUTED)
        bench.scheduler.add_listener(look_too, EVENT_JOB_EXECUTED)
        bench.run(look)
        bench.stop()
        contexts, sessions = (set(column) for column in zip(*seen, strict=True))
        assert (len(contexts), len(sessions)) == (3, 3)

    def test_a_listener_that_fails(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged by the scheduler, which goes on; what it flushed is rolled back."""

        def fail(event: Any) -> None:
            with session_manager() as session:
                session.add(bench.kit.Item(name="tea"))
                session.flush()
                raise ValueError

        bench.scheduler.add_listener(fail, EVENT_JOB_EXECUTED)
        bench.run(print)
        assert bench.run(print).code == EVENT_JOB_EXECUTED
        bench.stop()
        assert (caplog.messages.count("Error notifying listener"), bench.kit.names()) == (2, [])

    def test_listeners_that_were_there_before(self, sqlite_kit: Kit) -> None:
        """They get contexts as well, and all can be removed again."""
        seen: list[bool] = []

        def early(event: Any) -> None:
            seen.append(has_app_context())

        def late(event: Any) -> None:
            seen.append(has_app_context())

        scheduler = BackgroundScheduler()
        scheduler.add_listener(early, EVENT_SCHEDULER_STARTED)
        init_scheduler(scheduler, sqlite_kit.app)
        init_scheduler(scheduler, sqlite_kit.app)
        scheduler.add_listener(late)
        scheduler.remove_listener(late)
        scheduler.start()
        scheduler.remove_listener(early)
        scheduler.shutdown()
        scheduler.start()
        scheduler.shutdown()
        assert seen == [True]

    def test_listeners_can_be_compared(self, bench: Bench) -> None:
        """A wrapped listener is equal to what it wraps, and has its hash."""
        [(listener, _)] = bench.scheduler._listeners
        assert (listener == bench._events.put, listener == print) == (True, False)
        assert hash(listener) == hash(bench._events.put)

    def test_a_view_that_adds_a_job(self, bench: Bench) -> None:
        """The listener is called in the view's thread, apart from the view's session and request."""
        seen: list[Any] = []

        def look(event: Any) -> None:
            seen.append((bench.kit.db.session(), has_request_context(), current_scope()))

        bench.scheduler.add_listener(look, EVENT_JOB_ADDED)
        bench.scheduler.start()
        with bench.kit.app.test_request_context(), session_manager() as session:
            bench.scheduler.add_job(print)
            assert has_request_context()
        bench.next()
        assert [(found is session, *rest) for found, *rest in seen] == [(False, False, None)]


class CopyingPool(ThreadPoolExecutor):
    """A pool that carries the context variables of the submitter, as instrumented ones do."""

    context: contextvars.Context

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(self.context.copy().run, fn, *args, **kwargs)


class CopyingExecutor(BasePoolExecutor):  # type: ignore[misc] # APScheduler has no types
    """An executor on such a pool."""

    def __init__(self, pool: CopyingPool) -> None:
        super().__init__(pool)


class TestStartedInAContext:
    """A scheduler that is started in a request does not leak it."""

    def test_threads_that_inherit_the_context(self, sqlite_kit: Kit) -> None:
        """Even a pool that copies the request's context variables shows the job no request."""
        pool = CopyingPool()
        bench = Bench(sqlite_kit, BackgroundScheduler(executors={"default": CopyingExecutor(pool)}))

        def look() -> Any:
            return bool(request), "user" in g, sqlite_kit.db.session()

        with sqlite_kit.app.test_request_context():
            g.user = 7
            pool.context = contextvars.copy_context()
            session = sqlite_kit.db.session()
            *seen, used = bench.run(look).retval
            assert (seen, used is session) == ([False, False], False)
            bench.stop()

    def test_an_event_loop_does_not_keep_the_context(self, sqlite_kit: Kit) -> None:
        """What stock asyncio does: its timers hold the context that was active at the start."""
        assert self._kept(sqlite_kit, safe=False)
        assert not self._kept(sqlite_kit, safe=True)

    def _kept(self, kit: Kit, *, safe: bool) -> bool:
        """Whether the app context is still alive after it ended, while the scheduler runs."""

        async def run() -> bool:
            scheduler = AsyncIOScheduler()
            if safe:
                init_scheduler(scheduler, kit.app)
            with kit.app.app_context() as context:
                scheduler.start()
                scheduler.add_job(print, "interval", seconds=1000)
            reference = weakref.ref(context)
            del context
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            gc.collect()
            kept = reference() is not None
            scheduler.shutdown()
            await asyncio.sleep(0)
            return kept

        return asyncio.run(run())

    def test_the_start_itself_is_outside(self, bench: Bench) -> None:
        """Threads that are started by an executor inherit nothing of a request."""
        seen: list[bool] = []

        class Executor(DebugExecutor):  # type: ignore[misc] # APScheduler has no types
            def start(self, scheduler: Any, alias: str) -> None:
                seen.append(has_app_context())
                super().start(scheduler, alias)

        bench.scheduler.add_executor(Executor())
        with bench.kit.app.app_context():
            bench.run(print)
        assert seen == [False]


class TestScheduling:
    """What the scheduler does by itself goes on as before."""

    def test_a_missed_run(self, bench: Bench) -> None:
        """A misfire reaches the listeners, and the job does not run."""
        bench.scheduler.add_job(pytest.fail, run_date=now() - timedelta(hours=1))
        bench.scheduler.start()
        assert bench.next().code == EVENT_JOB_MISSED

    def test_too_many_instances(self, bench: Bench) -> None:
        """A run that comes too early is skipped, and the listeners hear of it."""
        begun, go_on = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            go_on.wait(20)

        job = bench.scheduler.add_job(block, "interval", hours=1, next_run_time=now())
        bench.scheduler.start()
        assert begun.wait(20)
        job.modify(next_run_time=now())
        assert bench.next().code == EVENT_JOB_MAX_INSTANCES
        go_on.set()
        assert bench.next().code == EVENT_JOB_EXECUTED

    def test_runs_are_coalesced(self, bench: Bench) -> None:
        """Several runs that are due become one."""
        due = now() - timedelta(hours=3)
        bench.run(print, trigger="interval", hours=1, next_run_time=due, coalesce=True)
        bench.stop()
        assert bench._events.empty()

    def test_a_job_that_is_paused_changed_and_resumed(self, bench: Bench) -> None:
        """The job runs as it was changed."""
        bench.scheduler.start()
        job = bench.scheduler.add_job(print, "interval", hours=1, id="daily")
        job.pause()
        job.modify(func=has_app_context, args=())
        job.resume()
        job.modify(next_run_time=now())
        event = bench.next()
        assert (event.job_id, event.retval) == ("daily", True)

    @pytest.mark.parametrize(
        "fn",
        [
            dict,
            functools.partial(dict, a=1),
            functools.partial(functools.partial(has_app_context)),
            "flask:has_app_context",
        ],
    )
    def test_what_a_job_may_be(self, bench: Bench, fn: Any) -> None:
        """Classes, partials, built-ins and textual references."""
        assert bench.run(fn).retval in ({}, {"a": 1}, True)

    def test_an_executor_without_threads(self, bench: Bench) -> None:
        """The debug executor runs the job in the scheduler's own thread."""
        bench.scheduler.add_executor(DebugExecutor())
        assert bench.run(has_app_context).retval is True

    def test_an_executor_that_is_removed(self, bench: Bench) -> None:
        """It is shut down like before."""
        bench.scheduler.add_executor(pool := DebugExecutor(), "extra")
        ended: list[bool] = []
        pool.shutdown = lambda: ended.append(True)
        bench.scheduler.remove_executor("extra")
        assert ended == [True]

    def test_asyncio_runs_functions_in_threads(self, sqlite_kit: Kit) -> None:
        """The jobs of ``AsyncIOScheduler`` have contexts."""

        async def run() -> Any:
            bench = Bench(sqlite_kit, AsyncIOScheduler())
            bench.scheduler.add_job(lambda: (current_app.name, threading.current_thread()))
            bench.scheduler.start()
            event = await asyncio.to_thread(bench.next)
            bench.stop()
            await asyncio.sleep(0)
            return event.retval

        name, thread = asyncio.run(run())
        assert (name, thread is threading.main_thread()) == (sqlite_kit.app.name, False)

    def test_another_app(self, make_kit: MakeKit) -> None:
        """Called again, the last app counts, for jobs and listeners."""
        bench = Bench(make_kit())
        other = make_kit()
        init_scheduler(bench.scheduler, other.app)
        assert bench.run(lambda: current_app.name).retval == other.app.name
        bench.stop()


class TestTransactional:
    """One transaction for each job."""

    def test_commits(self, database_bench: Bench) -> None:
        """The row is stored when the listener hears of it; the scope is named after the job."""
        event = database_bench.run(program.store)
        assert (event.retval, database_bench.kit.names()) == ("store", ["tea"])

    def test_a_commit_that_fails(self, make_kit: MakeKit) -> None:
        """It is an error of the job."""
        for bench in ending(Bench(make_kit(), transactional=True)):
            event = bench.run(program.store_what_commit_refuses)
        assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, IntegrityError)

    @pytest.mark.parametrize("transactional", [False, True])
    def test_job_options(self, make_kit: MakeKit, *, transactional: bool) -> None:
        """The function of a job decides for itself."""
        for bench in ending(Bench(make_kit(), transactional=transactional)):
            events = [
                bench.run(program.store_in_one, "tea"),
                bench.run(functools.partial(program.store_by_hand, "milk")),
            ]
        assert [each.exception for each in events] == [None, None]
        assert bench.kit.names() == ["milk", "tea"]

    def test_not_by_default(self, bench: Bench) -> None:
        """Without a scope the row is left to the job, and that it was left is reported."""
        with pytest.warns(UserWarning, match="uncommitted|nobody committed"):
            event = bench.run(program.store)
        assert (event.retval, bench.kit.names()) == ("no scope", [])

    def test_options_leave_the_function(self) -> None:
        """The decorator gives back what it was put on, which a job store can name."""

        def fn() -> None: ...

        assert job_options(transactional=True)(fn) is fn


class TestJobStores:
    """Jobs that are stored in a database."""

    @pytest.fixture
    def jobs_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/jobs.db"

    def test_what_is_stored_is_what_stock_stores(self, bench: Bench, jobs_url: str) -> None:
        """The textual reference and plain arguments, byte for byte."""
        states = []
        for scheduler in (BackgroundScheduler(), bench.scheduler):
            scheduler.add_jobstore("sqlalchemy", url=jobs_url)
            scheduler.start(paused=True)
            scheduler.add_job(
                program.store, "interval", hours=1, args=["milk"], id="1", start_date="2100-01-01"
            )
            scheduler.shutdown()
            engine = create_engine(jobs_url)
            with engine.begin() as connection:
                states.append(
                    connection.scalar(text("SELECT job_state FROM apscheduler_jobs")) or b""
                )
                connection.execute(text("DELETE FROM apscheduler_jobs"))
            engine.dispose()
        assert states[0] == states[1]
        assert pickle.loads(states[1])["func"] == "tests.contrib.apscheduler_program:store"  # noqa: S301

    def test_a_job_of_an_earlier_run(self, make_kit: MakeKit, jobs_url: str) -> None:
        """What a scheduler without the integration has stored runs in a context."""
        self._leave(program.store, jobs_url)
        for bench in ending(Bench(make_kit(), transactional=True)):
            assert self._take_over(bench, jobs_url).exception is None
        assert bench.kit.names() == ["tea"]

    def test_a_coroutine_of_an_earlier_run(self, bench: Bench, jobs_url: str) -> None:
        """It cannot be refused when it is added; the listeners hear of it instead of nothing at all."""
        self._leave(program.wait, jobs_url)
        event = self._take_over(bench, jobs_url)
        assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, TypeError)
        assert "'wait' is a coroutine function" in str(event.exception)

    def _leave(self, fn: Callable[..., object], jobs_url: str) -> None:
        """Store a paused job by a scheduler without the integration."""
        stock = BackgroundScheduler()
        stock.add_jobstore("sqlalchemy", url=jobs_url)
        stock.start(paused=True)
        stock.add_job(fn, "interval", hours=1, id="daily", next_run_time=None)
        stock.shutdown()

    def _take_over(self, bench: Bench, jobs_url: str) -> Any:
        bench.scheduler.add_jobstore("sqlalchemy", url=jobs_url)
        bench.scheduler.start()
        bench.scheduler.modify_job("daily", next_run_time=now())
        return bench.next()

    def test_the_engine_of_the_app(self, database_bench: Bench) -> None:
        """A job store that shares it has connections of its own, of which no guard complains."""
        kit = database_bench.kit
        store = SQLAlchemyJobStore(engine=kit.engine)
        store.shutdown = lambda: store.jobs_t.drop(kit.engine)
        database_bench.scheduler.add_jobstore(store)
        events = [database_bench.run(program.store, name) for name in ("tea", "milk")]
        database_bench.stop()  # the store itself uses a connection now and then
        assert [each.exception for each in events] == [None, None]
        assert (kit.names(), kit.checkedout()) == (["milk", "tea"], 0)


class TestRefusals:
    """What is refused, where it is written."""

    @pytest.mark.parametrize("fn", [program.wait, functools.partial(program.wait)])
    def test_a_coroutine_function(self, bench: Bench, fn: Any) -> None:
        """When it is added or decorated, or put in the place of another."""
        with pytest.raises(TypeError, match="'wait' is a coroutine function"):
            bench.scheduler.add_job(fn)
        with pytest.raises(TypeError, match="'wait' is a coroutine function"):
            bench.scheduler.scheduled_job("interval", hours=1)(fn)
        job = bench.scheduler.add_job(print, "interval", hours=1)
        with pytest.raises(TypeError, match="'wait' is a coroutine function"):
            job.modify(func=fn)

    def test_a_coroutine_function_that_is_already_there(self, sqlite_kit: Kit) -> None:
        """The scheduler is refused, and stays what it was."""
        scheduler = BackgroundScheduler()
        scheduler.add_job(program.wait)
        with pytest.raises(TypeError, match="'wait' is a coroutine function"):
            init_scheduler(scheduler, sqlite_kit.app)
        assert type(scheduler) is BackgroundScheduler

    def test_an_instance(self, bench: Bench) -> None:
        """It belongs to the session of whoever adds the job; so does the instance of a bound method."""
        item = bench.kit.Item(name="tea")
        job = bench.scheduler.add_job(print, "interval", hours=1, id="daily")
        adds: list[Callable[[], Any]] = [
            lambda: bench.scheduler.add_job(program.store, args=[item]),
            lambda: bench.scheduler.add_job(program.store, None, [], {"name": [item]}),
            lambda: bench.scheduler.add_job(functools.partial(program.store, item)),
            lambda: job.modify(args=[item]),
            lambda: job.modify(kwargs={"name": item}),
        ]
        for add in adds:
            with pytest.raises(DetachedArgumentError, match="'Item'"):
                add()

    def test_something_that_is_no_scheduler(self, sqlite_kit: Kit) -> None:
        """That of Flask-APScheduler holds one."""
        with pytest.raises(TypeError, match=r"Give a scheduler .* attribute 'scheduler'"):
            init_scheduler(object(), sqlite_kit.app)

    def test_something_that_is_no_app(self) -> None:
        """The scheduler stays what it was."""
        scheduler = BackgroundScheduler()
        with pytest.raises(TypeError, match="'app' is 'shop'"):
            init_scheduler(scheduler, "shop")  # type: ignore[arg-type]
        assert type(scheduler) is BackgroundScheduler

    def test_something_that_is_neither_true_nor_false(self, sqlite_kit: Kit) -> None:
        """``"no"`` is not taken for True, neither for a scheduler nor for a job."""
        no: Any = "no"
        with pytest.raises(TypeError, match="'transactional' is 'no'"):
            init_scheduler(BackgroundScheduler(), sqlite_kit.app, transactional=no)
        with pytest.raises(TypeError, match="'transactional' is 'no'"):
            job_options(transactional=no)

    @pytest.mark.parametrize(
        ("factory", "error"),
        [
            (lambda: None, ValueError),
            ("tests.contrib.apscheduler_program:nothing", LookupError),
            ("tests.contrib.no_program:create_app", LookupError),
        ],
    )
    def test_a_factory_that_no_process_could_call(
        self, sqlite_kit: Kit, factory: Any, error: type[Exception]
    ) -> None:
        """It is refused before there is a process."""
        with pytest.raises(error):
            init_scheduler(BackgroundScheduler(), sqlite_kit.app, process_app=factory)

    def test_another_major_version(self) -> None:
        """Where the schedulers of version 3 are not to be had, the error says which are needed."""
        script = "import sys; sys.modules['apscheduler.schedulers.base'] = None; import flask_safesession.contrib."
        result = subprocess.run(
            [sys.executable, "-c", script + "apscheduler"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (
            "ImportError: 'flask_safesession.contrib.apscheduler' needs APScheduler 3"
            in result.stderr
        )


class TestAddJobOnCommit:
    """Jobs that are added when their rows are there."""

    def test_after_the_commit(self, database_bench: Bench) -> None:
        """The job finds the row, and has the arguments of the call."""
        kit, names = database_bench.kit, ["tea"]
        database_bench.scheduler.start()
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="tea"))
            session.flush()
            add_job_on_commit(
                database_bench.scheduler,
                lambda given: (given, kit.names()),
                "date",
                [names],
                id="1",
            )
            names.append("milk")
            assert database_bench.scheduler.get_jobs() == []
        assert database_bench.next().retval == (["tea"], ["tea"])

    def test_after_a_rollback(self, bench: Bench) -> None:
        """There is no job."""
        with bench.kit.app.app_context(), pytest.raises(KeyError), session_manager():
            add_job_on_commit(bench.scheduler, program.store)
            raise KeyError
        assert bench.scheduler.get_jobs() == []

    def test_outside_of_a_transaction(self, bench: Bench) -> None:
        """It would never be added, and the error names it."""
        with (
            bench.kit.app.app_context(),
            pytest.raises(NoTransactionError, match=r"job 'tests\..*\.store\(\)'"),
        ):
            add_job_on_commit(bench.scheduler, program.store)

    def test_a_job_store_in_the_same_sqlite_file(self, bench: Bench) -> None:
        """What is guarded against: the store waits for the writer, and the writer for the store."""
        kit = bench.kit
        store = SQLAlchemyJobStore(engine=kit.engine)
        store.shutdown = lambda: store.jobs_t.drop(kit.engine)
        bench.scheduler.add_jobstore(store)
        bench.scheduler.start(paused=True)
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="tea"))
            session.flush()
            with pytest.raises(OperationalError, match="locked"):
                bench.scheduler.add_job(program.store)
            add_job_on_commit(bench.scheduler, program.store)
        assert len(bench.scheduler.get_jobs()) == 1

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"args": [1, 2, 3]}, ValueError),
            ({"kwargs": {"colour": 1}}, ValueError),
            ({"trigger": "sometimes"}, LookupError),
            ({"trigger": "interval", "hour": 1}, TypeError),
            ({"max_instances": 0}, TypeError),
            ({"misfire_grace_time": "1 s"}, TypeError),
            ({"next_run_time": 1}, TypeError),
        ],
    )
    def test_what_could_not_run(self, bench: Bench, arguments: Any, error: Any) -> None:
        """The error comes at the call, and the scope can go on."""
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(error):
                add_job_on_commit(bench.scheduler, program.store, **arguments)
        assert bench.scheduler.get_jobs() == []

    @pytest.mark.parametrize(("fn", "args"), [(lambda: None, ()), (program.store, (lambda: None,))])
    def test_what_a_store_could_not_keep(self, bench: Bench, fn: Any, args: Any) -> None:
        """A persistent store pickles its jobs: what it could not, is found at the call and not after the COMMIT."""
        bench.scheduler.add_jobstore("sqlalchemy", "lasting", url="sqlite://")
        bench.scheduler.start(paused=True)
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(TypeError, match=r"cannot be kept in the job store 'lasting': \S"):
                add_job_on_commit(bench.scheduler, fn, args=args, jobstore="lasting")
            add_job_on_commit(bench.scheduler, program.store, jobstore="lasting")
        assert [job.name for job in bench.scheduler.get_jobs("lasting")] == ["store"]

    def test_a_store_that_is_not_there(self, bench: Bench) -> None:
        """A scheduler that runs says so at the call; one that does not may still get it."""
        with bench.kit.app.app_context(), session_manager():
            add_job_on_commit(bench.scheduler, program.store, jobstore="later")
        bench.scheduler.add_jobstore("memory", "later")
        bench.scheduler.start(paused=True)
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(KeyError, match="knows 'later', 'default', and not 'never'"):
                add_job_on_commit(bench.scheduler, program.store, jobstore="never")
        assert len(bench.scheduler.get_jobs()) == 1

    def test_an_executor_that_is_not_there(self, bench: Bench) -> None:
        """Stock takes the job, and removes it when it is due."""
        bench.scheduler.start(paused=True)
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(KeyError, match=r"has no executor: .* knows 'default', and not 'x'"):
                add_job_on_commit(bench.scheduler, program.store, executor="x")
        assert bench.scheduler.get_jobs() == []

    def test_what_is_no_scheduler(self, bench: Bench) -> None:
        """As ``init_scheduler`` says it."""
        with pytest.raises(TypeError, match=r"'scheduler' is .* Give a scheduler"):
            add_job_on_commit(bench.kit.app, program.store)

    def test_options_are_kept(self, bench: Bench) -> None:
        """``undefined`` is the scheduler's own default, and None a paused job or no limit."""
        bench.scheduler.start(paused=True)
        own = {"misfire_grace_time": None, "next_run_time": None, "coalesce": undefined}
        with bench.kit.app.app_context(), session_manager():
            add_job_on_commit(bench.scheduler, program.store, id="a", max_instances=3, **own)
        (job,) = bench.scheduler.get_jobs()
        kept = (job.id, job.max_instances, job.misfire_grace_time, job.next_run_time, job.coalesce)
        assert kept == ("a", 3, None, None, True)

    def test_a_reference_that_leads_nowhere(self, bench: Bench) -> None:
        """It is refused at the call."""
        with bench.kit.app.app_context(), session_manager(), pytest.raises(LookupError):
            add_job_on_commit(bench.scheduler, "tests.contrib:nothing")

    def test_a_coroutine_function(self, bench: Bench) -> None:
        """It is refused at the call."""
        with bench.kit.app.app_context(), session_manager(), pytest.raises(TypeError, match="wait"):
            add_job_on_commit(bench.scheduler, program.wait)

    def test_a_store_that_refuses(
        self, make_kit: MakeKit, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The commit stands, and the log names the job."""
        bench = Bench(make_kit(options={"hook_errors": "log"}))
        bench.scheduler.start(paused=True)
        bench.scheduler.add_job(program.store, id="daily")
        with caplog.at_level(logging.ERROR), bench.kit.app.app_context():
            with session_manager() as session:
                session.add(bench.kit.Item(name="tea"))
                add_job_on_commit(bench.scheduler, program.store, args=["milk"], id="daily")
        bench.stop()
        assert bench.kit.names() == ["tea"]
        text = "the APScheduler job 'tests.contrib.apscheduler_program.store('milk')' (daily)"
        assert caplog.messages == [f"The hook '{text}' failed after the transaction had ended."]


@pytest.fixture
def process_bench(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Bench]:
    """Jobs that run in a process; the parameter is its factory."""
    for name, value in database_environ(kit.database).items():
        monkeypatch.setenv(name, value)
    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})
    yield from ending(Bench(kit, scheduler, transactional=True, process_app=request.param))


class TestProcesses:
    """An executor with processes."""

    @pytest.mark.parametrize(
        "process_bench",
        [program.create_app, "tests.contrib.apscheduler_program:create_app"],
        indirect=True,
        ids=["function", "name"],
    )
    def test_a_job_has_an_app_of_its_process(self, process_bench: Bench) -> None:
        """It is transactional there too, and its exceptions come back."""
        events = [process_bench.run(program.store, name) for name in ("tea", "milk", "milk")]
        assert [type(each.exception) for each in events] == [
            type(None),
            type(None),
            IntegrityError,
        ]
        assert process_bench.kit.names() == ["milk", "tea"]

    @pytest.mark.parametrize("process_bench", [None], indirect=True)
    def test_without_a_factory(self, process_bench: Bench) -> None:
        """The listeners are told which argument is missing."""
        event = process_bench.run(program.store)
        assert type(event.exception) is NoAppError
        assert "process_app=create_app" in str(event.exception)

    @pytest.mark.parametrize("process_bench", [program.fail_to_create], indirect=True)
    def test_a_factory_that_fails(self, process_bench: Bench) -> None:
        """Its error is that of the job, and the pool lives on."""
        events = [process_bench.run(program.store) for _ in range(2)]
        assert [str(each.exception) for each in events] == ["no settings"] * 2


@pytest.mark.parametrize("kind", ["blocking", "gevent"])
def test_a_program_with_a_scheduler(kit: Kit, start_worker: StartWorker, kind: str) -> None:
    """Twenty transactional jobs in another process: all are stored, and the listener has a context."""
    worker = start_worker(
        "-m",
        "tests.contrib.apscheduler_program",
        kind,
        environ=database_environ(kit.database),
    )
    assert worker.wait() == 0, worker.output
    names = [f"{number:02}" for number in range(20)]
    assert kit.names() == names
    assert sorted(worker.output.splitlines()) == [f"{name} store None True" for name in names]


def test_a_scheduler_that_does_not_run(bench: Bench) -> None:
    """Its own errors are its own."""
    with pytest.raises(SchedulerNotRunningError):
        bench.scheduler.shutdown()
