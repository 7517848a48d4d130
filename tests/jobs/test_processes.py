"""``process_executor``: jobs in worker processes, which start in three ways and behave the same."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask, g
from sqlalchemy.exc import IntegrityError

from flask_safesession import AppContextManager, on_commit, session_manager
from flask_safesession._jobs import processes
from flask_safesession._jobs.app_path import AppPath, parse_app_path
from flask_safesession.errors import (
    DetachedArgumentError,
    NoAppError,
    UncommittedChangesWarning,
)

from ..databases import Database
from . import process_app

WAYS: Final = ("fork", "spawn", "forkserver")
MODULE: Final = "tests.jobs.process_app"
PATH: Final = f"{MODULE}:create_app()"
LIMIT: Final = 30

# Python 3.12 warns of every fork in a process with threads, and xdist has one.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

MakeExecutor = Callable[..., ProcessPoolExecutor]


@pytest.fixture
def app(database: Database) -> Iterator[Flask]:
    """The submitter's app, on the database of the workers."""
    app = process_app.create_app(database.url, "submitter")
    yield app
    process_app.made.remove(app)
    with app.app_context():
        process_app.db.engine.dispose()


@pytest.fixture
def make(app: Flask, database: Database) -> Iterator[MakeExecutor]:
    """Make executors with one worker, which are shut down after the test."""
    made: list[ProcessPoolExecutor] = []

    def make(way: str = "fork", path: str | None = None, **options: Any) -> ProcessPoolExecutor:
        # In the path: a fork server has the environment of the time when it was started.
        path = path or f"{MODULE}:create_app({database.url!r})"
        context = multiprocessing.get_context(way)
        made.append(AppContextManager(app, **options).process_executor(path, 1, context))
        return made[-1]

    yield make
    for executor in made:
        executor.shutdown()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way in which a worker process can be started."""
    return str(request.param)


@pytest.fixture
def names(database: Database) -> Callable[[], list[str]]:
    """Read the stored names."""

    def names() -> list[str]:
        assert database.observer is not None
        with database.observer.connect() as connection:
            return sorted(connection.exec_driver_sql("SELECT name FROM item").scalars())

    return names


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
def test_the_surroundings_of_a_job(way: str, app: Flask, make: MakeExecutor) -> None:
    """The app is made once for each worker; no request, context or variable of the submitter is seen."""
    token = process_app.trace.set("submitter")
    with app.test_request_context("/"):
        g.user_id, g.other = 7, 8
        executor = make(way, propagate_g=("user_id", "missing"))
        first, second = (executor.submit(process_app.look) for _ in range(2))
        under = executor.submit(process_app.look_under)
        g.user_id = 9
    process_app.trace.reset(token)
    seen = first.result(LIMIT)
    inherited = len(process_app.made) if way == "fork" else 0
    wanted = ("worker", inherited + 1, False, "none", {"user_id": 7})
    assert (seen.app, seen.apps, seen.request, seen.trace, seen.values) == wanted
    assert (second.result(LIMIT), under.result(LIMIT)) == (seen, False)
    assert seen.pid != os.getpid()


def test_transactional_jobs(
    way: str, app: Flask, make: MakeExecutor, names: Callable[[], list[str]]
) -> None:
    """What a future returns is stored, and a submitter's open transaction goes on."""
    executor = make(way, transactional=True)
    with app.app_context(), session_manager() as session:
        if session.get_bind().dialect.name != "sqlite":
            session.add(process_app.Parent(name="submitter"))
            session.flush()
        assert executor.submit(process_app.add, "worker", amount=2).result(LIMIT) == "worker"
        assert names() == ["worker"]
        session.merge(process_app.Parent(name="submitter", id=4711))
    with app.app_context():
        assert process_app.db.session.get_one(process_app.Parent, 4711).name == "submitter"


def test_a_job_is_named_by_its_function(make: MakeExecutor) -> None:
    """Messages about its scope show the name and the line of the function."""
    assert make(transactional=True).submit(process_app.scope_name).result(LIMIT) == "scope_name"


@pytest.mark.parametrize("database", ["postgresql-psycopg"], indirect=True)
def test_a_commit_that_fails(way: str, make: MakeExecutor, names: Callable[[], list[str]]) -> None:
    """It fails the future, with the error of the database."""
    executor = make(way, transactional=True)
    with pytest.raises(IntegrityError, match="late_child"):
        executor.submit(process_app.add_orphan).result(LIMIT)
    assert executor.submit(process_app.add, "next").result(LIMIT) == "next"


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
def test_what_a_job_leaves_is_rolled_back(
    make: MakeExecutor, names: Callable[[], list[str]]
) -> None:
    """Each job has a session of its own, also in the same worker."""
    executor = make("spawn")  # a fork has the warning filters of this process
    executor.submit(process_app.leave_work_behind).result(LIMIT)
    assert executor.submit(process_app.look).result(LIMIT).values == {}
    assert names() == []


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
class TestArguments:
    """What can be sent, and what is refused where it is submitted."""

    def test_a_lambda(self, make: MakeExecutor) -> None:
        """Stock fails the future later; here the line that submits it is told, and the pool lives on."""
        executor = make()
        with pytest.raises(
            TypeError, match=r"(?s)test_processes.py.*'.*<lambda>'.*a function of a module"
        ):
            executor.submit(lambda: 1)
        assert executor.submit(process_app.take_anything).result(LIMIT) == 0

    def test_values_that_cannot_be_pickled(self, make: MakeExecutor) -> None:
        """The argument is named, by its place or its name."""
        executor = make()
        lock = threading.Lock()
        with pytest.raises(TypeError, match=r"handed the argument 2 to 'take_anything'"):
            executor.submit(process_app.take_anything, 1, lock)
        with pytest.raises(TypeError, match=r"handed the argument 'that' to 'take_anything'"):
            executor.submit(process_app.take_anything, this=1, that=[lock])
        assert executor.submit(process_app.take_anything, 1, this=1).result(LIMIT) == 2
        with pytest.raises(TypeError, match=r"handed a bound value to 'take_anything'"):
            executor.submit(functools.partial(process_app.take_anything, lock))

    def test_a_value_of_g_that_cannot_be_pickled(self, app: Flask, make: MakeExecutor) -> None:
        """So is a value that travels by ``propagate_g``."""
        executor = make(propagate_g=("lock",))
        with app.app_context(), pytest.raises(TypeError, match=r"handed 'g\.lock' to"):
            g.lock = threading.Lock()
            executor.submit(process_app.take_anything)

    def test_a_value_that_is_pickled_only_at_times(self, make: MakeExecutor) -> None:
        """Where no single value is to blame, the message says so."""

        class Moody:
            def __init__(self) -> None:
                self.refusals = [True]

            def __reduce__(self) -> tuple[Any, ...]:
                if self.refusals:
                    self.refusals.pop()
                    raise pickle.PicklingError("not now")
                return int, ()

        with pytest.raises(TypeError, match=r"handed its arguments to 'take_anything'.*not now"):
            make().submit(process_app.take_anything, Moody())

    def test_a_value_that_cannot_be_read(self, make: MakeExecutor) -> None:
        """Stock breaks the pool; here that future fails alone."""
        executor = make()
        with pytest.raises(ValueError, match="no number"):
            executor.submit(process_app.take_anything, process_app.Unreadable()).result(LIMIT)
        assert executor.submit(process_app.take_anything, 1).result(LIMIT) == 1

    def test_bad_calls(self, make: MakeExecutor) -> None:
        """A wrong number of arguments, a coroutine function, nothing to call."""

        async def coroutine() -> None:
            pass

        executor = make()
        with pytest.raises(TypeError, match="does not take"):
            executor.submit(process_app.add)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="coroutine function"):
            executor.submit(coroutine)
        with pytest.raises(TypeError, match="cannot be called"):
            executor.submit(1)  # type: ignore[arg-type]

    def test_instances_are_refused(self, app: Flask, make: MakeExecutor) -> None:
        """They belong to a session, and that to a process."""
        executor = make()
        with app.app_context(), session_manager() as session:
            session.add(item := process_app.Item(name="item"))
            session.flush()
            with pytest.raises(
                DetachedArgumentError, match="'Item' to 'name_of' in the argument 'item'"
            ):
                executor.submit(process_app.name_of, item)
            with pytest.raises(DetachedArgumentError):
                executor.map(process_app.name_of, [item])

    def test_instances_are_reloaded(self, way: str, app: Flask, make: MakeExecutor) -> None:
        """Their primary keys travel, and a row that is gone fails the future."""
        executor = make(way, instances="reload")
        with app.app_context(), session_manager() as session:
            session.add_all(items := [process_app.Item(name="one"), process_app.Item(name="two")])
            session.flush()
            second = items[1].id
            futures = []
            on_commit(lambda: futures.append(executor.submit(process_app.name_of, items[0])))
        assert futures[0].result(LIMIT) == "one"
        with app.app_context():
            two = process_app.db.session.get_one(process_app.Item, second)
            with session_manager(propagation="requires_new") as session:
                session.delete(session.get_one(process_app.Item, two.id))
            late = executor.submit(process_app.name_of, two)
        with pytest.raises(
            DetachedArgumentError, match=r"'Item' \d+ that 'name_of' was to work on"
        ):
            late.result(LIMIT)


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
class TestResults:
    """What comes back."""

    def test_an_error_of_the_job(self, way: str, make: MakeExecutor) -> None:
        """It is the original one, with the traceback of the worker as its cause."""
        with pytest.raises(KeyError, match="the job's own") as caught:
            make(way).submit(process_app.raise_own).result(LIMIT)
        assert "in raise_own" in str(caught.value.__cause__)

    def test_an_error_that_cannot_be_read(self, make: MakeExecutor) -> None:
        """Stock breaks the pool, and every other future with it."""
        executor = make()
        with pytest.raises(
            TypeError, match=r"'raise_stubborn' raised Stubborn\('1, 2'\)"
        ) as caught:
            executor.submit(process_app.raise_stubborn).result(LIMIT)
        assert "in raise_stubborn" in str(caught.value.__cause__)
        assert executor.submit(process_app.take_anything).result(LIMIT) == 0

    def test_a_result_that_cannot_be_sent(
        self, way: str, make: MakeExecutor, names: Callable[[], list[str]]
    ) -> None:
        """The future fails, and so does the transaction: who is told of a failure finds nothing stored."""
        executor = make(way, transactional=True)
        with pytest.raises(TypeError, match="'return_lock' returned a 'lock'"):
            executor.submit(process_app.return_lock, "never").result(LIMIT)
        with pytest.raises(TypeError, match="'return_unreadable' returned a 'Unreadable'"):
            executor.submit(process_app.return_unreadable).result(LIMIT)
        assert (executor.submit(process_app.take_anything).result(LIMIT), names()) == (0, [])

    @pytest.mark.parametrize("fn", [process_app.return_cursor, process_app.fail_with_cursor])
    def test_what_a_failed_job_had_open(
        self, fn: Callable[[], object], app: Flask, make: MakeExecutor
    ) -> None:
        """A stock worker keeps the frames of its last error's causes, and on SQLite nobody can commit meanwhile."""
        executor = make()
        with pytest.raises(TypeError, match="cannot be sent from its process"):
            executor.submit(fn).result(LIMIT)
        with app.app_context(), session_manager():
            assert process_app.add("a") == "a"

    def test_an_error_that_is_its_own_cause(self, make: MakeExecutor) -> None:
        """``raise error from error`` is odd, and ends."""
        with pytest.raises(KeyError, match="its own cause"):
            make().submit(process_app.raise_from_itself).result(LIMIT)

    def test_a_worker_that_dies(self, way: str, make: MakeExecutor) -> None:
        """The pool is broken, as a stock one is."""
        executor = make(way)
        with pytest.raises(BrokenProcessPool):
            executor.submit(process_app.die).result(LIMIT)
        with pytest.raises(BrokenProcessPool):
            executor.submit(process_app.take_anything)

    def test_map(self, way: str, make: MakeExecutor, names: Callable[[], list[str]]) -> None:
        """Each item is a job of its own, however large the chunks are."""
        executor = make(way, transactional=True)
        given = [f"item-{number}" for number in range(5)]
        assert list(executor.map(process_app.add, given, range(5), chunksize=3)) == given
        assert names() == given
        with pytest.raises(TypeError, match="a function of a module"):
            executor.map(lambda _: 1, given)

    def test_a_partial(self, make: MakeExecutor) -> None:
        """A callable without code of its own is named by what there is."""
        job = functools.partial(process_app.take_anything, 1, named=2)
        assert make(transactional=True).submit(job, 3).result(LIMIT) == 3


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
class TestPaths:
    """Where the workers find their app."""

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("tests.jobs.process_app:create_app", "worker"),
            ("tests.jobs.process_app:create_app('sqlite://', 'given')", "given"),
            (" tests.jobs.process_app: create_app(name='named', DEBUG=True)".strip(), "named"),
        ],
    )
    def test_a_factory(self, path: str, name: str, make: MakeExecutor) -> None:
        """It is called with the literals of the path."""
        assert make(path=path).submit(process_app.look).result(LIMIT).app == name

    def test_an_app_of_a_module(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        """An attribute is taken as it is."""
        monkeypatch.setattr(process_app, "ready", app, raising=False)
        assert parse_app_path("tests.jobs.process_app:ready").load() is app

    @pytest.mark.parametrize(
        "path",
        [
            "tests.jobs.process_app",
            "tests.jobs.process_app:",
            "tests.jobs.process_app:a.b",
            "tests.jobs.process_app:a.b()",
            "tests.jobs.process_app:create_app(os)",
            "tests.jobs.process_app:create_app(",
            ":create_app()",
            "tests/jobs:create_app()",
        ],
    )
    def test_no_path(self, path: str, make: MakeExecutor) -> None:
        """What is no path is an error at the call."""
        with pytest.raises(ValueError, match=r"^'app' is .*Give '\"package.module:app\"'"):
            make("spawn", path)

    @pytest.mark.parametrize(
        ("path", "cause"),
        [
            ("tests.jobs.process_app:missing()", "'tests.jobs.process_app' has no 'missing'"),
            ("tests.jobs.not_there:create_app()", "there is no module 'tests.jobs.not_there'"),
            ("tests.not_there.deep:create_app()", "'tests.not_there.deep' cannot be imported"),
        ],
    )
    def test_a_path_that_leads_nowhere(self, path: str, cause: str, make: MakeExecutor) -> None:
        """So is one that can be seen to lead nowhere."""
        with pytest.raises(NoAppError, match=cause):
            make("spawn", path)

    def test_an_app_in_its_place(self, app: Flask) -> None:
        """An app cannot be sent."""
        with pytest.raises(TypeError, match="which cannot be sent to a process"):
            AppContextManager().process_executor(app)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("path", "cause"),
        [
            ("tests.jobs.process_app:fail_to_create()", "LookupError: no configuration"),
            ("tests.jobs.process_app:exit_instead()", "SystemExit: no configuration"),
            ("tests.jobs.process_app:not_an_app", "'text', which is no Flask app"),
        ],
    )
    def test_an_app_that_cannot_be_made(self, path: str, cause: str, make: MakeExecutor) -> None:
        """A stock pool whose initializer fails is "broken" and does not say why."""
        with pytest.raises(NoAppError, match=cause):
            make(path=path).submit(process_app.take_anything).result(LIMIT)


def test_a_module_that_is_not_imported_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays so, because it may make an app."""
    (tmp_path / "later_module.py").write_text("app = 1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    parse_app_path("later_module:app").check()
    assert "later_module" not in sys.modules


def test_a_module_that_is_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An executor at the top of a module may name a function that stands below."""
    path = AppPath("text", "__main__", "below")
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    path.check()


@pytest.mark.parametrize("database", ["sqlite-file"], indirect=True)
def test_the_worker_in_this_process(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker does can be called here, where it leaves nothing in the context."""
    monkeypatch.setattr(processes, "_worker", processes._Worker())
    processes.start_worker(AppPath("text", "tests.jobs.process_app", "fail_to_create"))
    with pytest.raises(NoAppError, match="could not make its app from 'text'"):
        processes.run_in_worker(b"")
    processes.start_worker(AppPath("text", "tests.jobs.process_app", "not_an_app"))
    with pytest.raises(NoAppError, match="TypeError: it is 'text', which is no Flask app"):
        processes.run_in_worker(b"")
    monkeypatch.setattr(process_app, "ready", app, raising=False)
    processes.start_worker(AppPath("text", "tests.jobs.process_app", "ready"))
    executor = AppContextManager().process_executor(PATH, 1)
    assert processes.run_in_worker(executor._pack(process_app.take_anything, (1,), {})) == 1
    parcel = processes.run_in_worker(executor._pack(process_app.session_id, (), {}))
    assert pickle.loads(pickle.dumps(parcel))[0] == os.getpid()  # noqa: S301 - made just here
    with pytest.raises(KeyError):
        processes.run_in_worker(executor._pack(process_app.raise_own, (), {}))
    with pytest.raises(TypeError, match="'raise_stubborn' raised"):
        processes.run_in_worker(executor._pack(process_app.raise_stubborn, (), {}))
    partial = functools.partial(process_app.take_anything, 1)
    assert processes.run_in_worker(executor._pack(partial, (), {})) == 1
    with pytest.warns(UncommittedChangesWarning):
        processes.run_in_worker(executor._pack(process_app.leave_work_behind, (), {}))
    executor.shutdown()
