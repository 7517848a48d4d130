"""Messages of Dramatiq, on its broker in memory and with its own worker threads."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq import Message, Worker, pipeline
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import (
    CurrentMessage,
    GroupCallbacks,
    Middleware,
    Retries,
    Shutdown,
    SkipMessage,
    TimeLimitExceeded,
)
from dramatiq.rate_limits.backends import StubBackend
from flask import current_app, g, has_app_context
from flask.globals import app_ctx
from sqlalchemy.exc import IntegrityError

from flask_safesession import current_scope, session_manager
from flask_safesession.contrib.dramatiq import (
    ActorRefusedError,
    SafeSessionMiddleware,
    enqueue_on_commit,
)
from flask_safesession.errors import (
    DetachedArgumentError,
    NoAppError,
    NoTransactionError,
    TransactionOwnershipError,
    UncommittedChangesError,
)

from ..databases import Database
from ..kit import Kit, MakeKit
from .dramatiq_program import PATIENCE

QUEUE = "default"
group: Any = dramatiq.group  # it is untyped


class Log(Middleware):
    """Notes what the hooks around a message are given, and whether they see an app context."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.errors: list[BaseException] = []
        self.contexts: list[bool] = []

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self.contexts.append(has_app_context())

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: Any = None
    ) -> None:
        self.contexts.append(has_app_context())
        (self.results if exception is None else self.errors).append(exception or result)

    def before_ack(self, broker: Broker, message: MessageProxy) -> None:
        self.contexts.append(has_app_context())

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        self.contexts.append(has_app_context())


class Bench:
    """A kit, a broker with the middleware, and what was seen."""

    def __init__(self, kit: Kit, **options: Any) -> None:
        self.kit = kit
        self.broker = StubBroker(fail_fast_default=False)
        self.before, self.after = Log(), Log()
        self.broker.add_middleware(self.before)
        self.middleware = SafeSessionMiddleware(kit.app, **options)
        self.broker.add_middleware(self.middleware)
        self.broker.add_middleware(self.after)
        self.seen: list[Any] = []

    def actor(self, fn: Callable[..., Any], **options: Any) -> Any:
        """Declare *fn*; a message that fails is not tried again unless *options* say so."""
        return declare(fn, self.broker, **{"max_retries": 0, **options})

    def work(self) -> None:
        """Work until the queue is empty, on one thread."""
        with working(self.broker):
            pass

    @property
    def failures(self) -> list[type[BaseException]]:
        """The classes of the exceptions that the hooks were told of."""
        return [type(error) for error in self.after.errors]


def declare(fn: Callable[..., Any], broker: Broker, **options: Any) -> Any:
    """Declare *fn* on *broker*."""
    return dramatiq.actor(broker=broker, **options)(fn)


@contextmanager
def working(broker: StubBroker, threads: int = 1) -> Iterator[None]:
    """A worker of Dramatiq; at the end of the block the queue is empty."""
    worker = Worker(broker, worker_timeout=50, worker_threads=threads)
    worker.start()
    try:
        yield
        broker.join(QUEUE, timeout=20_000)
        worker.join()
    finally:
        worker.stop()


@pytest.fixture
def bench(sqlite_kit: Kit) -> Bench:
    """Messages on a SQLite file."""
    return Bench(sqlite_kit)


def test_each_message_has_its_own_context_and_session(bench: Bench) -> None:
    """Three messages on one thread: the app, three contexts, three sessions, nothing on ``g``."""

    def look() -> None:
        session = bench.kit.db.session()
        bench.seen.append((app_ctx._get_current_object(), session, "left" in g))  # type: ignore[attr-defined]
        g.left = True

    actor = bench.actor(look)
    for _ in range(3):
        actor.send()
    bench.work()
    contexts, sessions, left = (set(column) for column in zip(*bench.seen, strict=True))
    assert [each.app for each in contexts] == [bench.kit.app] * 3
    assert (len(sessions), left) == (3, {False})


@pytest.mark.parametrize(
    "end",
    [ValueError, dramatiq.errors.Retry, TimeLimitExceeded, Shutdown, SystemExit, GeneratorExit],
)
def test_whatever_ends_a_message_leaves_nothing(bench: Bench, end: type[BaseException]) -> None:
    """The row is rolled back, the connection is back, and the next message on the thread starts anew."""

    def fail() -> None:
        with session_manager() as session:
            session.add(bench.kit.Item(name="tea"))
            session.flush()
            raise end

    def look() -> None:
        bench.seen.append((bench.kit.checkedout(), current_scope()))

    bench.actor(fail).send()
    bench.actor(look).send()
    bench.work()
    assert (bench.failures, bench.kit.names(), bench.seen) == ([end], [], [(0, None)])


def test_an_unfinished_transaction_is_rolled_back(make_kit: MakeKit) -> None:
    """Without a scope, what an actor leaves uncommitted does not reach the next message."""
    bench = Bench(make_kit(options={"uncommitted": "off"}))

    def leave() -> None:
        bench.kit.db.session.add(bench.kit.Item(name="tea"))
        bench.kit.db.session.flush()

    actor = bench.actor(leave)
    actor.send()
    actor.send()  # the second would break the unique name if it saw the first
    bench.work()
    assert (bench.failures, bench.kit.names()) == ([], [])


def test_an_unfinished_transaction_can_be_a_failure(make_kit: MakeKit) -> None:
    """``SAFESESSION_UNCOMMITTED = "raise"`` fails the message that forgot its commit."""
    bench = Bench(make_kit(options={"uncommitted": "raise"}))
    bench.actor(
        lambda: bench.kit.db.session.add(bench.kit.Item(name="tea")), actor_name="leave"
    ).send()
    bench.work()
    assert (bench.failures, bench.after.results) == ([UncommittedChangesError], [])


def test_a_chain_of_messages(bench: Bench) -> None:
    """An actor sends on commit too: the second message finds the row of the first, and a failure sends nothing."""

    def follow(name: str) -> None:
        bench.seen.append((name, bench.kit.names()))

    def lead(name: str) -> None:
        bench.kit.db.session.add(bench.kit.Item(name=name))
        follower.send_on_commit(name)
        if name == "milk":
            raise ValueError

    follower = bench.actor(follow)
    leader = bench.actor(lead, transactional=True)
    leader.send("tea")
    leader.send("milk")
    bench.work()
    assert bench.seen == [("tea", ["tea"])]


def test_no_hook_sees_the_actors_context(bench: Bench) -> None:
    """Whether it stands before or behind, other middleware runs outside."""

    def fail() -> None:
        raise ValueError

    bench.actor(lambda: None, actor_name="pass").send()
    bench.actor(fail).send()
    bench.work()
    assert {*bench.before.contexts, *bench.after.contexts} == {False}


def test_the_current_message_is_seen(bench: Bench) -> None:
    """``CurrentMessage`` works inside the actor, because the context variables travel."""
    bench.broker.add_middleware(CurrentMessage())

    def look() -> None:
        message = CurrentMessage.get_current_message()
        bench.seen.append(message and message.message_id)

    sent = bench.actor(look).send()
    bench.work()
    assert bench.seen == [sent.message_id]


def test_a_retry_has_a_session_of_its_own(bench: Bench) -> None:
    """What the first try flushed is gone in the second."""

    def store() -> None:
        with session_manager() as session:
            bench.seen.append(session)
            session.add(bench.kit.Item(name="tea"))
            session.flush()
            if len(bench.seen) == 1:
                raise dramatiq.errors.Retry(delay=1)

    bench.actor(store, max_retries=3).send()
    bench.work()
    assert (len(set(map(id, bench.seen))), bench.kit.names()) == (2, ["tea"])


def test_callbacks_have_contexts_of_their_own(bench: Bench) -> None:
    """``on_success``, ``on_failure`` and ``on_retry_exhausted`` are messages like any other."""

    def note(message: Any, outcome: Any) -> None:
        bench.seen.append((current_app.name, message["actor_name"]))

    def fail() -> None:
        raise ValueError

    bench.actor(note)
    bench.actor(lambda: None, actor_name="pass", on_success="note").send()
    bench.actor(fail, on_failure="note", on_retry_exhausted="note").send()
    bench.work()
    name = bench.kit.app.name
    assert sorted(bench.seen) == [(name, "fail"), (name, "fail"), (name, "pass")]


def test_a_plain_call_is_a_plain_call(bench: Bench) -> None:
    """An actor that is called as a function works in its caller's scope."""

    def add() -> Any:
        return bench.kit.db.session()

    actor = bench.actor(add, transactional=True)
    with bench.kit.app.app_context(), session_manager() as session:
        assert actor() is session


def test_an_actor_that_calls_an_actor(bench: Bench) -> None:
    """Inside a message, the call of another actor, or of the same one, is a plain call too."""

    def outer(again: bool = True) -> None:
        bench.seen.append(bench.kit.db.session())
        if again:
            actor(again=False)

    actor = bench.actor(outer)
    actor.send()
    bench.work()
    assert (len(bench.seen), len(set(bench.seen))) == (2, 1)


def test_a_skipped_message(sqlite_kit: Kit) -> None:
    """No context is opened, and a later plain call on that thread is not taken for the message."""
    seen: list[bool] = []

    class CallsLater(Middleware):
        def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
            broker.get_actor(message.actor_name)()

    class Skips(Middleware):
        def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
            raise SkipMessage("not today")

    broker = StubBroker(fail_fast_default=False)
    for middleware in (CallsLater(), SafeSessionMiddleware(sqlite_kit.app), Skips()):
        broker.add_middleware(middleware)
    declare(lambda: seen.append(has_app_context()), broker, actor_name="look").send()
    with working(broker):
        pass
    assert seen == [False]


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_place_among_the_middleware_does_not_matter(sqlite_kit: Kit, place: str) -> None:
    """``Retries`` sees a COMMIT that fails, whichever of both comes first."""
    seen: list[int] = []
    retries = Retries(max_retries=2, min_backoff=1, max_backoff=1)
    ours = SafeSessionMiddleware(sqlite_kit.app, transactional=True)
    broker = StubBroker(
        [ours, retries] if place == "first" else [retries, ours], fail_fast_default=False
    )

    def store() -> None:
        seen.append(1)
        sqlite_kit.db.session.add(sqlite_kit.LateChild(name="lost", parent_id=999))

    declare(store, broker).send()
    with working(broker):
        pass
    assert (len(seen), len(broker.dead_letters)) == (3, 1)


class Transactional:
    """One transaction for each message."""

    @pytest.fixture
    def bench(self, make_kit: MakeKit) -> Bench:
        return Bench(make_kit(), transactional=True)


class TestTransactional(Transactional):
    """The actors of a broker whose middleware is transactional."""

    def test_commits(self, bench: Bench) -> None:
        """The row is stored when the hooks hear of success."""

        def store() -> str:
            bench.kit.db.session.add(bench.kit.Item(name="tea"))
            scope = current_scope()
            assert scope is not None
            return scope.name.rpartition(".")[2]

        bench.actor(store).send()
        bench.work()
        assert (bench.after.results, bench.kit.names()) == (["store"], ["tea"])

    def test_rolls_back(self, bench: Bench) -> None:
        """An exception undoes everything."""

        def store() -> None:
            bench.kit.db.session.add(bench.kit.Item(name="tea"))
            raise ValueError

        bench.actor(store).send()
        bench.work()
        assert (bench.failures, bench.kit.names()) == ([ValueError], [])

    def test_a_commit_that_fails_is_a_failure(self, bench: Bench) -> None:
        """The hooks hear of the error and never of a success; the message is a dead letter."""

        def store() -> None:
            bench.kit.db.session.add(bench.kit.LateChild(name="lost", parent_id=999))

        bench.actor(store).send()
        bench.work()
        assert (bench.failures, bench.after.results) == ([IntegrityError], [])
        assert len(bench.broker.dead_letters) == 1

    def test_an_actor_that_owns_its_transactions(self, bench: Bench) -> None:
        """``transactional=False`` is for the actor that commits by itself."""

        def store() -> None:
            bench.kit.db.session.add(bench.kit.Item(name="tea"))
            bench.kit.db.session.commit()

        bench.actor(store, transactional=False).send()
        bench.actor(store, actor_name="refused").send()
        bench.work()
        assert (bench.failures, bench.kit.names()) == ([TransactionOwnershipError], ["tea"])


def test_one_transactional_actor(bench: Bench) -> None:
    """``transactional=True`` on the actor, where its middleware is not."""

    def store() -> None:
        bench.kit.db.session.add(bench.kit.Item(name="tea"))

    bench.actor(store, transactional=True).send()
    bench.work()
    assert bench.kit.names() == ["tea"]


class StockCommits(Middleware):
    """What many projects have: a commit after the message."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.context: Any = None

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        self.context = self.kit.app.app_context()
        self.context.push()

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: Any = None
    ) -> None:
        try:
            self.kit.db.session.commit()
        finally:
            self.context.pop()


def test_the_stock_way_loses_a_commit_that_fails(make_kit: MakeKit) -> None:
    """What is guarded against: a hook that commits cannot fail its message, which is acknowledged."""
    kit = make_kit(safe=False)
    broker = StubBroker([StockCommits(kit)], fail_fast_default=False)
    log = Log()
    broker.add_middleware(log)

    def store() -> None:
        kit.db.session.add(kit.LateChild(name="lost", parent_id=999))

    declare(store, broker).send()
    with working(broker):
        pass
    assert (log.errors, broker.dead_letters, kit.count(kit.LateChild)) == ([], [], 0)


class TestSendOnCommit:
    """What every actor of the broker has beside ``send``."""

    @pytest.fixture
    def actor(self, bench: Bench) -> Any:
        def restock(number: Any, *, amount: int = 1) -> None:
            bench.seen.append((number, amount, bench.kit.names()))

        return bench.actor(restock)

    def waiting(self, bench: Bench) -> int:
        queue: int = bench.broker.queues[QUEUE].qsize()
        return queue

    def test_sends_after_the_commit(self, bench: Bench, actor: Any) -> None:
        """Nothing is in the queue before; the worker sees the row."""
        with bench.kit.app.app_context(), session_manager() as session:
            session.add(bench.kit.Item(name="tea"))
            session.flush()
            message = actor.send_on_commit(7, amount=2)
            before = self.waiting(bench)
        assert (before, self.waiting(bench)) == (0, 1)
        bench.work()
        assert (message.actor_name, bench.seen) == ("restock", [(7, 2, ["tea"])])

    def test_sends_nothing_after_a_rollback(self, bench: Bench, actor: Any) -> None:
        """What is not stored is not announced."""
        with bench.kit.app.app_context(), pytest.raises(KeyError), session_manager():
            actor.send_on_commit(7)
            raise KeyError
        assert self.waiting(bench) == 0

    def test_outside_of_a_transaction(self, bench: Bench, actor: Any) -> None:
        """It would never be sent, and the error names it."""
        with (
            bench.kit.app.app_context(),
            pytest.raises(NoTransactionError, match=r"'restock\(7\)'"),
        ):
            actor.send_on_commit(7)

    @pytest.mark.parametrize("nest", [lambda item: item, lambda item: [{"item": item}]])
    def test_an_instance_is_refused(
        self, bench: Bench, actor: Any, nest: Callable[[Any], Any]
    ) -> None:
        """It belongs to the session of the sender; also where an encoder could pickle it."""
        with bench.kit.app.app_context(), session_manager() as session:
            session.add(item := bench.kit.Item(name="tea"))
            with pytest.raises(
                DetachedArgumentError, match=r"'1' of the Dramatiq message .*'Item'"
            ):
                actor.send_on_commit(nest(item))
            with pytest.raises(
                DetachedArgumentError, match=r"'1' of the Dramatiq message .*'Item'"
            ):
                enqueue_on_commit(actor.message(nest(item)))

    def test_an_instance_that_is_sent_at_once(self, bench: Bench, actor: Any) -> None:
        """It is refused too: with an encoder that pickles, the actor would work on a copy, in silence."""
        item = bench.kit.Item(name="tea")
        calls: list[Callable[[], Any]] = [
            lambda: actor.send(item),
            lambda: actor.send_with_options(kwargs={"number": item}),
            lambda: actor.message(item),
        ]
        for call in calls:
            with pytest.raises(DetachedArgumentError, match=r"of the Dramatiq message .*'Item'"):
                call()
        assert self.waiting(bench) == 0

    def test_wrong_arguments_that_are_sent_at_once(self, bench: Bench, actor: Any) -> None:
        """They are refused at the call as well; a part of a pipeline gets more of them later."""
        for args in ((), (1, 2)):
            with pytest.raises(TypeError, match=r"message 'restock' was given arguments that"):
                actor.send(*args)
        assert (actor.message().args, self.waiting(bench)) == ((), 0)

    def test_a_decorator_that_adds_an_argument(self, bench: Bench) -> None:
        """Who sends does not give it, whatever the decorator says that it wraps."""

        def adding(fn: Any) -> Any:
            return functools.wraps(fn)(lambda *args: fn("added", *args))

        def see(added: str, given: str) -> None:
            bench.seen.append((added, given))

        actor = bench.actor(adding(see), actor_name="see")
        actor.send("given")
        with bench.kit.app.app_context(), session_manager():
            actor.send_on_commit("later")
        bench.work()
        assert bench.seen == [("added", "given"), ("added", "later")]

    def test_arguments_are_what_they_were_at_the_call(self, bench: Bench, actor: Any) -> None:
        """What happens to a list later does not reach the message."""
        numbers = [1]
        with bench.kit.app.app_context(), session_manager():
            message = actor.send_on_commit(numbers)
            numbers.append(2)
        bench.work()
        assert bench.seen == [([1], 1, [])]
        assert message.args == (numbers,)

    def test_an_argument_that_cannot_be_encoded(self, bench: Bench, actor: Any) -> None:
        """The error comes at the call, and the scope can still go on."""
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(TypeError, match="not JSON serializable"):
                actor.send_on_commit(timedelta(1))
        assert self.waiting(bench) == 0

    @pytest.mark.parametrize("arguments", [{}, {"args": (1, 2)}, {"kwargs": {"colour": 1}}])
    def test_arguments_that_the_actor_does_not_take(
        self, bench: Bench, actor: Any, arguments: dict[str, Any]
    ) -> None:
        """They would fail in the worker, again and again; the error comes at the call."""
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(
                TypeError, match=r"message 'restock' was given arguments that '.*restock\(number"
            ):
                actor.send_with_options_on_commit(**arguments)

    @pytest.mark.parametrize(
        "compose",
        [
            lambda message, _: message(),
            lambda message, broker: pipeline([message(), message()], broker=broker),
            lambda message, broker: group([message(1), message()], broker=broker),
            lambda message, broker: group(
                [pipeline([message(), message()], broker=broker)], broker=broker
            ),
        ],
    )
    def test_messages_that_their_actors_do_not_take(
        self, bench: Bench, actor: Any, compose: Callable[[Any, Any], Any]
    ) -> None:
        """The same for what goes out at once; what follows in a pipeline gets a result as well."""
        unknown: Message[Any] = Message(
            queue_name=QUEUE, actor_name="elsewhere", args=(), kwargs={}, options={}
        )
        broker = bench.broker
        with bench.kit.app.app_context(), session_manager():
            with pytest.raises(TypeError, match="message 'restock' was given arguments that"):
                enqueue_on_commit(compose(actor.message, broker), broker=broker)
            enqueue_on_commit(pipeline([actor.message(1), actor.message()], broker=broker))
            enqueue_on_commit(unknown, broker=broker)
        assert self.waiting(bench) == 2

    def test_a_function_that_has_no_signature(self, bench: Bench) -> None:
        """What cannot be known at the call is left to the worker."""
        actor = bench.actor(iter, actor_name="iter")
        with bench.kit.app.app_context(), session_manager():
            actor.send_on_commit(1, 2, 3)
        bench.work()
        assert bench.failures == [TypeError]

    @pytest.mark.parametrize("delay", [50, timedelta(milliseconds=50)])
    def test_options(self, bench: Bench, actor: Any, delay: int | timedelta) -> None:
        """``send_with_options_on_commit`` takes what ``send_with_options`` takes."""
        with bench.kit.app.app_context(), session_manager():
            message = actor.send_with_options_on_commit(
                args=(7,), kwargs={"amount": 3}, delay=delay, max_retries=5
            )
        delayed: int = bench.broker.queues[f"{QUEUE}.DQ"].qsize()
        bench.work()
        assert (delayed, message.options) == (1, {"max_retries": 5})
        assert bench.seen == [(7, 3, [])]

    def test_a_class_of_actors(self, bench: Bench) -> None:
        """``GenericActor`` has the methods as well."""
        kit = bench.kit

        class Restock(dramatiq.GenericActor):
            class Meta:
                broker = bench.broker
                transactional = True

            def perform(self, name: str) -> None:
                kit.db.session.add(kit.Item(name=name))

        with kit.app.app_context(), session_manager():
            Restock.send_on_commit("tea")
        bench.work()
        assert kit.names() == ["tea"]


class TestEnqueueOnCommit:
    """Messages, groups and pipelines that were made by hand."""

    @pytest.fixture
    def actor(self, bench: Bench) -> Any:
        def see(*numbers: Any) -> int:
            bench.seen.append(list(numbers))
            return 9

        return bench.actor(see)

    @pytest.fixture
    def scope(self, bench: Bench) -> Iterator[None]:
        with bench.kit.app.app_context(), session_manager():
            yield
            assert bench.broker.queues[QUEUE].qsize() == 0
        bench.work()

    @pytest.fixture
    def sees(self, bench: Bench, request: pytest.FixtureRequest) -> Iterator[list[Any]]:
        """What the worker is to see after the test, in any order."""
        wanted: list[Any] = []
        yield wanted
        assert sorted(map(str, bench.seen)) == sorted(map(str, wanted))

    def test_a_message(self, bench: Bench, actor: Any, sees: list[Any], scope: None) -> None:
        """It needs its broker, unless that is the global one."""
        message = actor.message(1)
        assert enqueue_on_commit(message, broker=bench.broker) is message
        sees.append([1])

    def test_the_global_broker(
        self,
        bench: Bench,
        actor: Any,
        sees: list[Any],
        scope: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The broker of ``dramatiq.set_broker`` is taken when the call is made."""
        monkeypatch.setattr("dramatiq.broker.global_broker", bench.broker)
        enqueue_on_commit(actor.message(1))
        monkeypatch.undo()
        sees.append([1])

    def test_a_group(self, bench: Bench, actor: Any, sees: list[Any], scope: None) -> None:
        """Every message of the group goes out, with the arguments of the call."""
        changed = [1]
        work = group([actor.message(changed), actor.message(2)], broker=bench.broker)
        assert enqueue_on_commit(work) is work
        changed.append(3)
        sees.extend([[[1]], [2]])

    def test_a_pipeline(self, bench: Bench, actor: Any, sees: list[Any], scope: None) -> None:
        """The first message goes out and brings the second, with the arguments of the call."""
        changed = [1]
        work = pipeline([actor.message(1), actor.message(changed)], broker=bench.broker)
        assert enqueue_on_commit(work, delay=timedelta(milliseconds=1)) is work
        changed.append(3)
        sees.extend([[1], [[1], 9]])

    def test_something_else(self, actor: Any, scope: None) -> None:
        """An actor is no message."""
        with pytest.raises(TypeError, match="'enqueue_on_commit' was given Actor"):
            enqueue_on_commit(actor)


def test_a_group_with_a_callback(bench: Bench) -> None:
    """The callback of a group comes after its messages."""
    backend: Any = StubBackend
    bench.broker.add_middleware(GroupCallbacks(backend()))
    actor = bench.actor(bench.seen.append, actor_name="see")
    work = group([actor.message(1), actor.message(2)], broker=bench.broker)
    work.add_completion_callback(actor.message("done"))
    with bench.kit.app.app_context(), session_manager():
        enqueue_on_commit(work)
    bench.work()
    assert bench.seen[2:] == ["done"]


def test_a_broker_that_fails_names_what_was_not_sent(
    make_kit: MakeKit, caplog: pytest.LogCaptureFixture
) -> None:
    """The commit stands, and the log line says which group or message it was."""
    bench = Bench(make_kit(options={"hook_errors": "log"}))
    actor = bench.actor(lambda: None, actor_name="see")
    first, second = actor.message(), actor.message()
    bench.broker.queues.clear()
    with caplog.at_level(logging.ERROR), bench.kit.app.app_context(), session_manager() as session:
        session.add(bench.kit.Item(name="tea"))
        enqueue_on_commit(group([first, second], broker=bench.broker))
    messages = [f"the Dramatiq message 'see()' ({each.message_id})" for each in (first, second)]
    assert (bench.kit.names(), caplog.messages[-1]) == (
        ["tea"],
        f"The hook 'the Dramatiq group of 2: {', '.join(messages)}' failed after the transaction had ended.",
    )


class TestSetUp:
    """Apps that come later, or not at all, and actors that were there before."""

    def test_the_app_comes_later(self, sqlite_kit: Kit) -> None:
        """With an app factory, the broker is made before the app."""
        seen: list[Any] = []
        middleware = SafeSessionMiddleware()
        broker = StubBroker([middleware], fail_fast_default=False)
        declare(lambda: seen.append(current_app.name), broker, actor_name="look").send()
        middleware.init_app(sqlite_kit.app)
        with working(broker):
            pass
        assert seen == [sqlite_kit.app.name]

    def test_no_app(self) -> None:
        """The message fails, and says which call is missing."""
        log = Log()
        broker = StubBroker([SafeSessionMiddleware(), log], fail_fast_default=False)
        declare(lambda: None, broker, actor_name="look").send()
        with working(broker):
            pass
        assert [type(error) for error in log.errors] == [NoAppError]
        assert "message of 'look'" in str(log.errors[0])
        assert "middleware.init_app(app)" in str(log.errors[0])

    def test_something_that_is_no_app(self) -> None:
        """It is refused when it is given."""
        with pytest.raises(TypeError, match="'app' is 'shop'"):
            SafeSessionMiddleware("shop")  # type: ignore[arg-type]

    def test_something_that_is_neither_true_nor_false(self, bench: Bench) -> None:
        """``"no"`` is not taken for True, neither for all actors nor for one."""
        no: Any = "no"
        with pytest.raises(TypeError, match="'transactional' is 'no'"):
            SafeSessionMiddleware(transactional=no)
        with pytest.raises(ActorRefusedError, match="The actor 'iter': 'transactional' is 'no'"):
            bench.actor(iter, actor_name="iter", transactional=no)

    def test_actors_that_were_declared_before(self, sqlite_kit: Kit) -> None:
        """The middleware takes over what is there."""
        seen: list[Any] = []
        broker = StubBroker(fail_fast_default=False)
        actor = declare(lambda: seen.append(has_app_context()), broker, actor_name="look")
        broker.add_middleware(SafeSessionMiddleware(sqlite_kit.app))
        actor.send()
        with working(broker):
            pass
        assert seen == [True]

    def test_an_actor_that_moves_to_another_broker(self, bench: Bench) -> None:
        """The middleware that took it last runs it, and no other: one context, one session."""
        actor = bench.actor(lambda: bench.seen.append(current_app.name), actor_name="look")
        other = StubBroker(fail_fast_default=False)
        other.add_middleware(SafeSessionMiddleware())
        actor.broker = other
        other.declare_actor(actor)
        other.middleware[-1].init_app(bench.kit.app)  # type: ignore[attr-defined]
        actor.send()
        with working(other):
            pass
        assert bench.seen == [bench.kit.app.name]
        assert actor.fn.__wrapped__.__name__ == "<lambda>"


def test_many_threads(make_kit: MakeKit, database: Database) -> None:
    """Sixty messages on six threads: each commits its own row, no session is shared, no connection stays out."""
    kit = make_kit(database, engine_options=PATIENCE.get(database.dialect))
    bench = Bench(kit, transactional=True)

    def store(number: int) -> None:
        session = kit.db.session()
        bench.seen.append(session)
        session.add(kit.Item(name=f"{number:02}"))
        session.flush()
        if number % 3 == 0:
            raise ValueError

    actor = bench.actor(store)
    for number in range(60):
        actor.send(number)
    with working(bench.broker, threads=6):
        pass
    assert kit.names() == [f"{number:02}" for number in range(60) if number % 3]
    assert (len(set(bench.seen)), kit.checkedout()) == (60, 0)
