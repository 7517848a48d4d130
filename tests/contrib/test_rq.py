"""Jobs of RQ, performed inside the process of the tests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Callback, Queue, Retry, SimpleWorker
from rq.job import Job, JobStatus

from flask_safesession import session_manager
from flask_safesession.contrib.rq import AppJob, AppQueue, AppSpawnWorker, enqueue_on_commit
from flask_safesession.errors import (
    DetachedArgumentError,
    NoAppError,
    NoTransactionError,
    UncommittedChangesWarning,
)

from ..kit import Kit, MakeKit
from . import rq_jobs
from .models import Product
from .rq_kit import InnerWorker, TransactionalInnerWorker, work


@pytest.fixture
def stored(sqlite_kit: Kit) -> Kit:
    """A kit that jobs find."""
    return rq_jobs.with_kit(sqlite_kit)


@pytest.fixture
def sync_queue(rq_queue: AppQueue) -> AppQueue:
    """A queue that needs no worker."""
    return AppQueue(
        rq_queue.name, connection=rq_queue.connection, is_async=False, transactional=True
    )


def test_a_job_has_a_context_of_its_own(stored: Kit, rq_queue: AppQueue) -> None:
    """RQ's own worker gives it none."""
    job = rq_queue.enqueue(rq_jobs.surroundings)
    with stored.app.test_request_context():
        work(stored, rq_queue)
    assert job.return_value(refresh=True) == (0, True, False, job.id)


def test_stock_jobs_have_no_context(rq_queue: AppQueue) -> None:
    """What this guards against: RQ's own worker fails with 'Working outside of application context'."""
    job = rq_queue.enqueue(rq_jobs.store, "tea")

    class Stock(SimpleWorker):
        death_penalty_class = InnerWorker.death_penalty_class

        def _install_signal_handlers(self) -> None:
            pass

    Stock([rq_queue], connection=rq_queue.connection).work(burst=True, logging_level="CRITICAL")
    result = job.latest_result()
    assert result is not None
    assert "Working outside of application context" in str(result.exc_string)


@pytest.mark.filterwarnings("ignore::flask_safesession.errors.UncommittedChangesWarning")
def test_what_a_job_does_not_commit_is_gone(stored: Kit, rq_queue: AppQueue) -> None:
    """The next job of the same process does not see it."""
    rq_queue.enqueue(rq_jobs.store, "tea")
    later = rq_queue.enqueue(rq_jobs.look, "tea", f"{rq_queue.name}-count", 1)
    work(stored, rq_queue)
    assert (later.return_value(refresh=True), stored.names()) == (False, [])


def test_a_transactional_job_is_committed(kit: Kit, rq_queue: AppQueue) -> None:
    """When RQ calls it finished, the row is stored."""
    rq_jobs.with_kit(kit)
    job = rq_queue.enqueue(rq_jobs.store, "tea")
    work(kit, rq_queue, TransactionalInnerWorker)
    assert (job.get_status(), kit.names()) == (JobStatus.FINISHED, ["tea"])


def test_a_commit_that_fails(make_kit: MakeKit, rq_queue: AppQueue) -> None:
    """The job fails with the error of the COMMIT: no success with 0 rows."""
    kit = rq_jobs.with_kit(make_kit("postgresql-psycopg"))
    job = rq_queue.enqueue(rq_jobs.late)
    work(kit, rq_queue, TransactionalInnerWorker)
    result = job.latest_result()
    assert result is not None
    assert (job.get_status(), "IntegrityError" in str(result.exc_string)) == (
        JobStatus.FAILED,
        True,
    )


def test_callbacks_have_contexts_of_their_own(stored: Kit, rq_queue: AppQueue) -> None:
    """The job is committed when on_success begins, and rolled back when on_failure begins."""
    rq_queue.enqueue(rq_jobs.store, "tea", **rq_jobs.CALLBACKS)
    rq_queue.enqueue(rq_jobs.fail_once, "milk", **rq_jobs.CALLBACKS)
    work(stored, rq_queue, TransactionalInnerWorker)
    assert stored.names() == [
        "failed: the first try ['succeeded: tea', 'tea']",
        "succeeded: tea",
        "tea",
    ]


def test_each_try_begins_anew(stored: Kit, rq_queue: AppQueue) -> None:
    """The second try could not store the same name again if the first had left it."""
    job = rq_queue.enqueue(rq_jobs.fail_once, "tea", retry=Retry(max=1))
    work(stored, rq_queue, TransactionalInnerWorker)
    assert (job.get_status(), stored.names()) == (JobStatus.FINISHED, ["tea"])


def test_a_job_that_returns_a_retry(stored: Kit, rq_queue: AppQueue) -> None:
    """It runs again, in another context."""
    job = rq_queue.enqueue(rq_jobs.ask_for_another, "tea")
    work(stored, rq_queue, TransactionalInnerWorker)
    assert (job.get_status(), stored.names()) == (JobStatus.FINISHED, ["tea"])


def test_a_time_limit_in_a_statement(make_kit: MakeKit, rq_queue: AppQueue) -> None:
    """The job is rolled back, and the next one gets a connection without an open transaction."""
    kit = rq_jobs.with_kit(make_kit("postgresql-psycopg", engine_options={"pool_size": 1}))
    slow = rq_queue.enqueue(rq_jobs.wait_in_database, 3, job_timeout=1)
    quick = rq_queue.enqueue(rq_jobs.store, "tea")
    work(kit, rq_queue, TransactionalInnerWorker)
    assert (slow.get_status(), quick.get_status()) == (JobStatus.FAILED, JobStatus.FINISHED)
    assert (kit.names(), kit.checkedout()) == (["tea"], 0)


@pytest.mark.filterwarnings("ignore::flask_safesession.errors.UncommittedChangesWarning")
def test_a_function_decides_for_itself(stored: Kit, rq_queue: AppQueue) -> None:
    """``job_options`` wins over the worker, in both directions."""
    rq_queue.enqueue(rq_jobs.store_without, "tea")
    rq_queue.enqueue(rq_jobs.store_with, "milk")
    work(stored, rq_queue, TransactionalInnerWorker)
    rq_queue.enqueue(rq_jobs.store_with, "sugar")
    rq_queue.enqueue(rq_jobs.store, "salt")
    work(stored, rq_queue)
    assert stored.names() == ["milk", "sugar"]


def test_a_function_decides_without_a_worker(stored: Kit, rq_queue: AppQueue) -> None:
    """So it does in a queue that performs its jobs itself."""
    queue = AppQueue(rq_queue.name, connection=rq_queue.connection, is_async=False)
    with stored.app.app_context():
        queue.enqueue(rq_jobs.store_with, "milk")
    assert stored.names() == ["milk"]


def test_a_job_whose_changes_nobody_commits(stored: Kit, rq_queue: AppQueue) -> None:
    """The warning names the job: a worker's log tells of many."""
    rq_queue.enqueue(rq_jobs.store, "tea")
    with pytest.warns(
        UncommittedChangesWarning,
        match=r"^The context of the job 'tests\.contrib\.rq_jobs\.store' ended",
    ):
        work(stored, rq_queue)


def test_a_worker_of_rq_with_our_jobs(rq_queue: AppQueue) -> None:
    """It gives them no app, and the error of the job names the worker class that does."""

    class Stock(SimpleWorker):
        death_penalty_class = InnerWorker.death_penalty_class

        def _install_signal_handlers(self) -> None:
            pass

    job = rq_queue.enqueue(rq_jobs.store, "tea", on_failure=Callback(rq_jobs.on_failure))
    worker = Stock([rq_queue], connection=rq_queue.connection, job_class=AppJob)
    worker.work(burst=True, logging_level="CRITICAL")
    result = job.latest_result()
    assert result is not None
    assert "--worker-class flask_safesession.contrib.rq.AppWorker" in str(result.exc_string)


def test_a_custom_job_class_stays(stored: Kit, rq_queue: AppQueue) -> None:
    """The worker puts contexts around the jobs of any class."""

    class Named(Job):
        def perform(self) -> Any:
            return f"named: {super().perform()}"

    job = rq_queue.enqueue(rq_jobs.store, "tea")
    worker = type("KitWorker", (InnerWorker,), {"app": stored.app, "transactional": True})
    found = worker([rq_queue], connection=rq_queue.connection, job_class=Named)
    found.work(burst=True, logging_level="ERROR")
    again = type("KitWorker", (InnerWorker,), {"app": stored.app})
    assert issubclass(
        again([rq_queue], connection=rq_queue.connection, job_class=AppJob).job_class, AppJob
    )
    assert (issubclass(found.job_class, Named), stored.names()) == (True, ["tea"])
    assert job.get_status() == JobStatus.FINISHED


# --- Without workers ----------------------------------------------------------------------------------------------


def test_a_synchronous_queue(stored: Kit, sync_queue: AppQueue) -> None:
    """The job does not share the session of the request that enqueues it."""
    with stored.app.app_context(), session_manager():
        sync_queue.enqueue_on_commit(rq_jobs.store, "tea", **rq_jobs.CALLBACKS)
        assert stored.names() == []
    assert stored.names() == ["succeeded: tea", "tea"]


def test_a_synchronous_queue_without_an_app(sync_queue: AppQueue) -> None:
    """The error names the call that is missing."""
    with pytest.raises(NoAppError, match=r"inside 'with app\.app_context\(\):'"):
        sync_queue.enqueue(rq_jobs.store, "tea", on_failure=Callback(rq_jobs.on_failure))


# --- Enqueue on commit --------------------------------------------------------------------------------------------


def test_a_job_goes_out_after_the_commit(kit: Kit, rq_queue: AppQueue) -> None:
    """Before it, the queue is empty; the id is known all the time."""
    with kit.app.app_context(), session_manager():
        job = rq_queue.enqueue_on_commit(rq_jobs.store, "tea", job_timeout=7)
        assert rq_queue.job_ids == []
    assert (rq_queue.job_ids, rq_queue.jobs[0].timeout) == ([job.id], 7)


def test_a_job_of_a_scope_that_rolls_back(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """It never existed."""
    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        job = rq_queue.enqueue_on_commit(rq_jobs.store, "tea")
        raise KeyError
    assert (rq_queue.job_ids, Job.exists(job.id, rq_queue.connection)) == ([], False)


def test_arguments_are_frozen(stored: Kit, rq_queue: AppQueue, sync_queue: AppQueue) -> None:
    """What the caller does to a list later does not reach the job, with a worker or without."""
    names = ["tea"]
    with stored.app.app_context(), session_manager():
        rq_queue.enqueue_on_commit("tests.contrib.rq_jobs.store", names, meta={"names": names})
        same = sync_queue.enqueue_on_commit(rq_jobs.store, names)
        names.append("milk")
    (job,) = rq_queue.jobs
    assert (job.args, same.args, job.meta) == ((["tea"],), (["tea"],), {"names": ["tea"]})


def test_a_queue_of_rq(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """The function takes any queue, and RQ's way to give options."""
    queue = Queue(rq_queue.name, connection=rq_queue.connection)
    with sqlite_kit.app.app_context(), session_manager():
        enqueue_on_commit(
            queue, rq_jobs.store, kwargs={"name": "tea"}, job_id="first", at_front=True
        )
        enqueue_on_commit(queue, rq_jobs.store, "milk", depends_on="first")
    assert (queue.job_ids, len(queue.deferred_job_registry)) == (["first"], 1)
    queue.fetch_job("first").delete(delete_dependents=True)  # type: ignore[union-attr]


def test_scheduled_jobs(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """They wait for the COMMIT, then for their time."""
    when = datetime(2040, 1, 1, tzinfo=timezone.utc)
    with sqlite_kit.app.app_context(), session_manager():
        first = rq_queue.enqueue_at_on_commit(when, rq_jobs.store, "tea")
        second = rq_queue.enqueue_in_on_commit(timedelta(days=1), rq_jobs.store, "milk")
        assert rq_queue.scheduled_job_registry.get_job_ids() == []
    registry = rq_queue.scheduled_job_registry
    assert set(registry.get_job_ids()) == {first.id, second.id}
    assert registry.get_scheduled_time(first) == when


def test_outside_of_a_transaction(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """The job would never go out, and the error names it."""
    with (
        sqlite_kit.app.app_context(),
        pytest.raises(
            NoTransactionError, match=r"The RQ job 'tests.contrib.rq_jobs.store\('tea'\)' \("
        ),
    ):
        rq_queue.enqueue_on_commit(rq_jobs.store, "tea")


def test_a_redis_that_is_down(make_kit: MakeKit, caplog: pytest.LogCaptureFixture) -> None:
    """The commit stands, and the log names the job and its queue."""
    kit = make_kit(options={"hook_errors": "log"})
    with Redis(port=1) as nowhere, caplog.at_level(logging.ERROR):
        queue = AppQueue("shop", connection=nowhere)
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="tea"))
            job = queue.enqueue_on_commit(rq_jobs.store, "tea")
    assert kit.names() == ["tea"]
    text = f"the RQ job 'tests.contrib.rq_jobs.store('tea')' ({job.id}) for the queue 'shop'"
    assert caplog.messages == [f"The hook '{text}' failed after the transaction had ended."]


def test_a_redis_that_is_down_while_hooks_raise(sqlite_kit: Kit) -> None:
    """Tests see the error of the client."""
    with Redis(port=1) as nowhere:
        queue = AppQueue("shop", connection=nowhere)
        with (
            sqlite_kit.app.app_context(),
            pytest.raises(RedisConnectionError) as caught,
            session_manager(),
        ):
            queue.enqueue_on_commit(rq_jobs.store, "tea")
    assert "for the queue 'shop'' failed; the transaction is committed" in str(vars(caught.value))


REFUSED: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
    "arity": (
        rq_jobs.store,
        {},
        r"'tests.contrib.rq_jobs.store' was given .*'store\(name.* missing a required argument: 'name'",
    ),
    "meta": (rq_jobs.store, {"name": "tea", "meta": {"lock": threading.Lock()}}, "cannot pickle"),
    "pipeline": (rq_jobs.store, {"name": "tea", "pipeline": object()}, "A pipeline was given for"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_at_the_call(case: str, sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """It would fail in the worker, or never be sent."""
    fn, options, message = REFUSED[case]
    with (
        sqlite_kit.app.app_context(),
        session_manager(),
        pytest.raises(TypeError, match=message),
    ):
        rq_queue.enqueue_on_commit(fn, **options)


def test_an_instance_is_refused(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """RQ itself pickles it, detached and out of date."""
    with (
        sqlite_kit.app.app_context(),
        session_manager(),
        pytest.raises(
            DetachedArgumentError, match=r"argument '1' of the RQ job .* an instance of 'Item'"
        ),
    ):
        rq_queue.enqueue_on_commit(rq_jobs.store, sqlite_kit.Item(name="tea"))


def test_an_instance_in_the_meta_data(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """RQ pickles that too, after the COMMIT."""
    meta = {"item": sqlite_kit.Item(name="tea")}
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(DetachedArgumentError, match=r"'meta' of the RQ job .* 'Item'"):
            rq_queue.enqueue_on_commit(rq_jobs.store, "tea", meta=meta)


def test_an_instance_that_is_sent_at_once(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """It is refused too: RQ pickles it, and the job works on a copy whose changes go nowhere."""
    item = sqlite_kit.Item(name="tea")
    when = datetime(2040, 1, 1, tzinfo=timezone.utc)
    for call in (
        lambda: rq_queue.enqueue(rq_jobs.store, item),
        lambda: rq_queue.enqueue("tests.contrib.rq_jobs.store", [item]),
        lambda: rq_queue.enqueue_call(rq_jobs.store, kwargs={"name": item}),
        lambda: rq_queue.enqueue_at(when, rq_jobs.store, item),
        lambda: rq_queue.enqueue_many([rq_queue.prepare_data(rq_jobs.store, (item,))]),
        lambda: rq_queue.enqueue(Product(id=1).restock, 1),
    ):
        with pytest.raises(DetachedArgumentError, match=r"of the RQ job .* an instance of"):
            call()
    assert rq_queue.job_ids == []


def test_an_instance_that_stock_rq_sends(rq_queue: AppQueue) -> None:
    """What is guarded against: the job gets a copy."""
    queue = Queue(rq_queue.name, connection=rq_queue.connection)
    product = Product(id=1, stock=7)
    queue.enqueue(rq_jobs.store, product)
    (copy,) = queue.jobs[0].args
    assert (copy.stock, copy is product) == (7, False)


def test_wrong_arguments_that_are_sent_at_once(rq_queue: AppQueue) -> None:
    """They are refused at the call, where the function is there; a path is taken as it is."""
    with pytest.raises(TypeError, match="too many positional arguments"):
        rq_queue.enqueue(rq_jobs.store, "tea", 2)
    assert rq_queue.enqueue("tests.contrib.rq_jobs.store", "tea", 2).args == ("tea", 2)


# --- The app of a worker ------------------------------------------------------------------------------------------


def _loaded(source: Any, queue: AppQueue) -> Any:
    worker = type("SourceWorker", (InnerWorker,), {"app": source})
    return worker([queue], connection=queue.connection).load_app()


def test_where_the_app_comes_from(
    sqlite_kit: Kit, rq_queue: AppQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app, a factory, an import path, or one in the environment; the own variable wins."""
    monkeypatch.setattr(rq_jobs, "create_app", lambda: sqlite_kit.app)
    path = "tests.contrib.rq_jobs:create_app()"
    for source in (sqlite_kit.app, staticmethod(rq_jobs.create_app), path):
        assert _loaded(source, rq_queue) is sqlite_kit.app
    monkeypatch.setenv("FLASK_APP", path)
    assert _loaded(None, rq_queue) is sqlite_kit.app
    monkeypatch.setenv("SAFESESSION_APP", "nowhere:app")
    with pytest.raises(NoAppError, match="'nowhere:app', cannot be loaded: Could not import"):
        _loaded(None, rq_queue)


def test_the_app_is_made_once(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """Not for each job."""
    made: list[Any] = []

    def create_app() -> Any:
        made.append(sqlite_kit.app)
        return sqlite_kit.app

    worker = type("OnceWorker", (InnerWorker,), {"app": staticmethod(create_app)})(
        [rq_queue], connection=rq_queue.connection
    )
    assert [worker.load_app(), worker.load_app()] == made * 2


def test_no_app(rq_queue: AppQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker does not take a job, and says what to set."""
    monkeypatch.delenv("FLASK_APP", raising=False)
    job = rq_queue.enqueue(rq_jobs.surroundings)
    with pytest.raises(NoAppError, match="Set the environment variable 'SAFESESSION_APP'"):
        InnerWorker([rq_queue], connection=rq_queue.connection).work(burst=True)
    assert job.get_status() == JobStatus.QUEUED


def test_a_factory_that_gives_no_app(rq_queue: AppQueue) -> None:
    """The error names both."""
    with pytest.raises(NoAppError, match=r"The app of this RQ worker is 'shop', which <function"):
        _loaded(staticmethod(lambda: "shop"), rq_queue)


def test_a_spawning_worker_that_cannot_be_imported(sqlite_kit: Kit, rq_queue: AppQueue) -> None:
    """It is refused before it takes a job."""

    class Local(AppSpawnWorker):
        app = sqlite_kit.app

    with pytest.raises(TypeError, match="Define it on the top level of a module"):
        Local([rq_queue], connection=rq_queue.connection).work(burst=True)


def test_a_callback_for_a_stopped_job(kit: Kit, rq_queue: AppQueue) -> None:
    """It has a context of its own as the others have."""
    job: Any = AppJob.create(
        rq_jobs.surroundings, connection=rq_queue.connection, on_stopped=Callback(print)
    )
    with kit.app.app_context():
        assert job.stopped_callback.__wrapped__ is print
