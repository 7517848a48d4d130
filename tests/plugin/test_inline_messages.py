"""Jobs of queues that run in the thread of the test where they would be sent after the COMMIT. There is no broker."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from celery import chain
from dramatiq.brokers.stub import StubBroker
from flask import current_app, g, has_request_context
from huey.api import MemoryHuey, group
from redis import Redis
from rq import Callback, Queue

from flask_safesession import session_manager
from flask_safesession.contrib import dramatiq as with_dramatiq
from flask_safesession.contrib import huey as with_huey
from flask_safesession.contrib import rq as with_rq
from flask_safesession.contrib.apscheduler import add_job_on_commit, init_scheduler
from flask_safesession.contrib.celery import apply_async_on_commit
from flask_safesession.testing import inline_jobs
from tests.contrib.celery_kit import make_celery, messages, task
from tests.kit import Kit

NOBODY = "redis://127.0.0.1:1/0"  # a port on which nobody listens
KIT = "tests.kit"

Send = Callable[..., object]


@pytest.fixture(autouse=True)
def inline() -> Iterator[None]:
    """They do in each of these tests."""
    with inline_jobs():
        yield


@pytest.fixture
def kit(sqlite_kit: Kit) -> Kit:
    """A kit that the jobs find, and what they have seen."""
    sqlite_kit.app.extensions[KIT] = (sqlite_kit, [])
    return sqlite_kit


def seen(kit: Kit) -> list[Any]:
    """What the jobs have seen."""
    found: list[Any] = kit.app.extensions[KIT][1]
    return found


# RQ finds a job by its name in a module, and APScheduler by that too.
def job(name: str) -> str:
    """Note where it runs and what is stored; with the name ``x``, fail."""
    kit, seen = current_app.extensions[KIT]
    inside = (threading.get_ident(), has_request_context(), "user" in g)
    seen.append((name, inside, kit.names()))
    kit.session().add(kit.Item(name=name))
    kit.session().commit()
    if name == "x":
        raise ValueError("The job does not like its name.")
    return name + name


def note(*args: Any) -> None:
    """Note the last value."""
    current_app.extensions[KIT][1].append(args[-1])


def add(name: str) -> None:
    """Leave the commit to whoever runs it."""
    kit, _ = current_app.extensions[KIT]
    kit.session().add(kit.Item(name=name))


def _celery(kit: Kit) -> Send:
    send: Send = task(make_celery(kit))(job).delay_on_commit
    return send


def _signature(kit: Kit) -> Send:
    made = task(make_celery(kit))(job)
    return lambda name: apply_async_on_commit(made.s(), (name,), countdown=60)


def _rq(_: Kit) -> Send:
    queue = with_rq.AppQueue(connection=Redis.from_url(NOBODY))
    return lambda name: queue.enqueue_in_on_commit(timedelta(hours=1), job, name)


def _stock_rq(_: Kit) -> Send:
    queue = Queue(connection=Redis.from_url(NOBODY))
    return lambda name: with_rq.enqueue_on_commit(queue, job, name)


def _huey(kit: Kit) -> Send:
    huey = MemoryHuey()
    with_huey.init_huey(huey, kit.app)
    made = huey.task()(job)
    return lambda name: with_huey.enqueue_on_commit(huey, made.s(name))


def _actor(kit: Kit, fn: Callable[..., object], **options: Any) -> Any:
    broker = StubBroker()
    broker.add_middleware(with_dramatiq.SafeSessionMiddleware(kit.app))
    return dramatiq.actor(broker=broker, **options)(fn)


def _dramatiq(kit: Kit) -> Send:
    send: Send = _actor(kit, job).send_on_commit
    return send


def _apscheduler(kit: Kit) -> Send:
    scheduler = BackgroundScheduler()
    init_scheduler(scheduler, kit.app)
    return lambda name: add_job_on_commit(scheduler, job, args=(name,))


def _unknown_scheduler(_: Kit) -> Send:
    return lambda name: add_job_on_commit(BackgroundScheduler(), job, args=(name,))


WAYS = (
    _celery,
    _signature,
    _rq,
    _stock_rq,
    _huey,
    _dramatiq,
    _apscheduler,
    _unknown_scheduler,
)


@pytest.mark.parametrize("prepare", WAYS)
def test_a_job_runs_when_it_would_be_sent(kit: Kit, prepare: Callable[[Kit], Send]) -> None:
    """After the COMMIT, in this thread, with contexts and a session of its own."""
    send = prepare(kit)
    with kit.app.test_request_context(), session_manager() as session:
        g.user = "somebody"
        session.add(kit.Item(name="a"))
        send("b")
        assert seen(kit) == []
    assert seen(kit) == [("b", (threading.get_ident(), False, False), ["a"])]
    assert kit.names() == ["a", "b"]


@pytest.mark.parametrize("prepare", WAYS)
def test_a_job_that_fails(
    kit: Kit, prepare: Callable[[Kit], Send], caplog: pytest.LogCaptureFixture
) -> None:
    """The sender never hears of it, as in production; the log does."""
    send = prepare(kit)
    with caplog.at_level(logging.ERROR), kit.app.app_context(), session_manager():
        send("x")
    assert "The job does not like its name." in caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("prepare", WAYS)
def test_a_job_of_a_scope_that_rolls_back(kit: Kit, prepare: Callable[[Kit], Send]) -> None:
    """It does not run."""
    send = prepare(kit)
    with kit.app.app_context(), pytest.raises(KeyError), session_manager():
        send("b")
        raise KeyError
    assert seen(kit) == []


def test_a_chain_of_celery(kit: Kit) -> None:
    """Each has the result of the one before it; nothing is in the queue."""
    celery = make_celery(kit)
    first, then = task(celery)(job), task(celery)(note)
    with kit.app.app_context(), session_manager():
        apply_async_on_commit(chain(first.s("a"), then.s()))
    assert (seen(kit)[1:], messages(celery)) == (["aa"], [])


@pytest.mark.parametrize(("name", "told"), [("a", "aa"), ("x", ValueError)])
def test_the_callbacks_of_rq(kit: Kit, name: str, told: object) -> None:
    """They run after the job, in contexts of their own."""
    queue = with_rq.AppQueue(connection=Redis.from_url(NOBODY))
    with kit.app.app_context(), session_manager():
        queue.enqueue_on_commit(
            job, name, on_success=Callback(note), on_failure=Callback(note_failure)
        )
    assert seen(kit)[1:] == [told]


def note_failure(*args: Any) -> None:
    """Note the class of the error."""
    note(args[2])


def test_a_transactional_job_of_rq(kit: Kit) -> None:
    """What the function or the queue says of transactions is heeded."""
    redis = Redis.from_url(NOBODY)
    with kit.app.app_context(), session_manager():
        with_rq.enqueue_on_commit(Queue(connection=redis), transactional_add, "a")
        with_rq.AppQueue(connection=redis, transactional=True).enqueue_on_commit(add, "b")
    assert kit.names() == ["a", "b"]


@with_rq.job_options(transactional=True)
def transactional_add(name: str) -> None:
    """One transaction, committed by RQ's integration."""
    add(name)


def test_a_group_of_huey_for_tomorrow(kit: Kit) -> None:
    """It is not kept waiting, and the queue is what it was before."""
    huey = MemoryHuey()
    with_huey.init_huey(huey, kit.app, transactional=True)
    made = huey.task()(add)
    made("kept")
    tomorrow = made.s("b", delay=timedelta(days=1))
    with kit.app.app_context(), session_manager():
        with_huey.enqueue_on_commit(huey, group([made.s("a"), tomorrow]))
    assert kit.names() == ["a", "b"]
    assert (huey.immediate, len(huey.pending())) == (False, 1)


def test_a_huey_without_an_app(kit: Kit) -> None:
    """The consumer has it, so the job gets a context here as well."""
    huey = MemoryHuey(immediate=True)
    made = huey.task()(job)
    with kit.app.test_request_context(), session_manager():
        with_huey.enqueue_on_commit(huey, made.s("a"))
    assert seen(kit)[0][1] == (threading.get_ident(), False, False)


def test_a_pipeline_of_dramatiq(kit: Kit) -> None:
    """Each message has the result of the one before it, unless it says otherwise."""
    first = _actor(kit, job)
    then = dramatiq.actor(broker=first.broker)(note)
    alone = then.message_with_options(args=("b",), pipe_ignore=True)
    parts: Any = [first.message("a"), then.message(), alone]
    with kit.app.app_context(), session_manager():
        with_dramatiq.enqueue_on_commit(dramatiq.pipeline(parts, broker=first.broker))
    assert seen(kit)[1:] == ["aa", "b"]


def test_a_group_of_dramatiq(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """A message that fails does not stop the others, and what follows comes last."""
    first = _actor(kit, job)
    then = dramatiq.actor(broker=first.broker)(note)
    made: Any = dramatiq.group  # it is untyped
    line = dramatiq.pipeline([first.message("a"), then.message()], broker=first.broker)
    work = made([first.message("x"), line], broker=first.broker)
    work.add_completion_callback(then.message("over"))
    with kit.app.app_context(), session_manager():
        with_dramatiq.enqueue_on_commit(work, delay=1000)
    assert [each if isinstance(each, str) else each[0] for each in seen(kit)] == [
        "x",
        "a",
        "aa",
        "over",
    ]
    assert "Failed to process the Dramatiq message 'job('x')'" in caplog.text


def test_a_job_with_a_trigger_is_for_later(kit: Kit) -> None:
    """APScheduler gets it."""
    scheduler = BackgroundScheduler()
    init_scheduler(scheduler, kit.app)
    with kit.app.app_context(), session_manager():
        add_job_on_commit(scheduler, job, "interval", args=("a",), hours=1)
    assert (seen(kit), len(scheduler.get_jobs())) == ([], 1)
