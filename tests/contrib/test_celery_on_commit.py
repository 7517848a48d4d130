"""Celery's messages after the COMMIT, in memory."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group, signals
from flask import g
from kombu.exceptions import EncodeError, OperationalError

from flask_safesession import session_manager
from flask_safesession.contrib.celery import SafeTask, apply_async_on_commit, init_celery
from flask_safesession.errors import DetachedArgumentError, NoTransactionError

from ..kit import Kit, MakeKit
from .celery_kit import make_celery, messages, task
from .models import Product

NOBODY = "redis://127.0.0.1:1/0"  # a port on which nobody listens


@pytest.fixture
def celery(sqlite_kit: Kit) -> Any:
    """A Celery app with one task, ``tests.restock``."""
    celery = make_celery(sqlite_kit)

    @task(celery, name="tests.restock")
    def restock(product: Any, amount: int = 1) -> None:
        pass

    return celery


@pytest.fixture
def restock(celery: Celery) -> Any:
    """The task."""
    return celery.tasks["tests.restock"]


def nothing(product: Any, amount: int = 1) -> None:
    """What a task does."""


def arguments(celery: Celery) -> list[Any]:
    """Arguments of the messages that were sent."""
    return [message.decode()[:2] for message in messages(celery)]


def test_a_task_is_sent_after_the_commit(sqlite_kit: Kit, celery: Celery, restock: Any) -> None:
    """When it goes out, everybody can see the row; the call itself returns nothing."""
    seen: list[list[str]] = []

    def note(**_: Any) -> None:
        seen.append(sqlite_kit.names())

    signals.before_task_publish.connect(note)
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="tea"))
        session.flush()
        assert restock.delay_on_commit(7, amount=3) is None
        assert messages(celery) == []
    signals.before_task_publish.disconnect(note)
    assert (seen, arguments(celery)) == ([["tea"]], [[[7], {"amount": 3}]])


def test_a_task_of_a_scope_that_rolls_back(sqlite_kit: Kit, celery: Celery, restock: Any) -> None:
    """It is not sent; what was sent in the scope, is."""
    with sqlite_kit.app.app_context(), pytest.raises(KeyError), session_manager():
        restock.delay_on_commit(1)
        restock.apply_async_on_commit((2,))
        restock.delay(3)
        raise KeyError
    assert arguments(celery) == [[[3], {}]]


def test_outside_of_a_transaction(sqlite_kit: Kit, restock: Any) -> None:
    """The error names the call that sends at once."""
    with sqlite_kit.app.app_context():
        with pytest.raises(
            NoTransactionError, match=r"task 'tests.restock\(1\)' \(.* was.*'delay\(\)'"
        ):
            restock.delay_on_commit(1)
        with pytest.raises(NoTransactionError, match=r"'tests.restock\(1\)'.*'apply_async\(\)'"):
            restock.apply_async_on_commit((1,))
        with pytest.raises(NoTransactionError, match=r"signature.*'apply_async\(\)'"):
            apply_async_on_commit(restock.s(1))


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_the_arguments_are_frozen(
    sqlite_kit: Kit, celery: Celery, restock: Any, serializer: str
) -> None:
    """What is changed after the call is not sent: arguments, headers and links."""
    product, headers, link = {"tags": ["new"]}, {"trace": ["a"]}, restock.s(2)
    celery.conf.accept_content = ["json", "pickle"]
    with sqlite_kit.app.app_context(), session_manager():
        restock.apply_async_on_commit([product], headers=headers, link=link, serializer=serializer)
        product["tags"].append("changed")
        headers["trace"].append("changed")
        link.args = ("changed",)
    (message,) = messages(celery)
    message.accept = {"application/json", "application/x-python-serialize"}
    args, _, embedded = message.decode()
    assert (list(args), message.headers["trace"]) == ([{"tags": ["new"]}], ["a"])
    assert list(embedded["callbacks"][0]["args"]) == [2]


def test_the_stock_hook_sends_what_was_changed(
    sqlite_kit: Kit, celery: Celery, restock: Any
) -> None:
    """A hand-written hook keeps the caller's list."""
    from flask_safesession import on_commit

    product = ["new"]
    with sqlite_kit.app.app_context(), session_manager():
        on_commit(restock.delay, product)
        product.append("changed")
    assert arguments(celery) == [[[["new", "changed"]], {}]]


def test_options_are_kept(sqlite_kit: Kit, celery: Celery, restock: Any) -> None:
    """The id, the headers and the rest are those of the call."""
    with sqlite_kit.app.app_context(), session_manager():
        restock.apply_async_on_commit(
            (1,), {"amount": 2}, task_id="an-id", headers={"request_id": "r1"}, expires=60
        )
    (message,) = messages(celery)
    headers = message.headers
    assert (headers["id"], message.properties["correlation_id"]) == ("an-id", "an-id")
    assert (headers["request_id"], headers["expires"] is None) == ("r1", False)


def test_headers_that_a_class_adds(sqlite_kit: Kit) -> None:
    """It is sent in the caller's context, so that what adds a correlation id still finds it."""
    celery = make_celery(None)

    class Tracing(Task):  # type: ignore[misc]
        def apply_async(self, *args: Any, **options: Any) -> Any:
            return super().apply_async(*args, **{**options, "headers": {"trace": g.trace}})

    init_celery(celery, sqlite_kit.app)

    @task(celery, base=Tracing)
    def work() -> None:
        pass

    with sqlite_kit.app.app_context(), session_manager():
        g.trace = "t1"
        work.delay_on_commit()
    assert [message.headers["trace"] for message in messages(celery)] == ["t1"]


def test_an_argument_that_cannot_be_serialised(
    sqlite_kit: Kit, celery: Celery, restock: Any
) -> None:
    """It fails at the call, with Celery's own error."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(EncodeError, match="not JSON serializable"):
            restock.delay_on_commit(object())
    assert messages(celery) == []


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize(
    "nest",
    [lambda item: item, lambda item: [{"a": (item,)}], lambda item: {"b": frozenset([item])}],
)
def test_an_instance_as_argument(
    sqlite_kit: Kit, celery: Celery, restock: Any, serializer: str, nest: Any
) -> None:
    """It is refused at the call, however deep and whatever could serialise it."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(
            DetachedArgumentError,
            match=r"of the Celery task 'tests.restock' is or holds an instance of 'Item', .* primary key",
        ):
            restock.apply_async_on_commit(
                (nest(sqlite_kit.Item(name="tea")),), serializer=serializer
            )
    assert messages(celery) == []


INSTANCES: dict[str, Any] = {
    "delay": lambda task, item: task.delay(item),
    "by name": lambda task, item: task.delay(product=item),
    "apply_async": lambda task, item: task.apply_async(([item],), serializer="pickle"),
    "signature": lambda task, item: task.s(item).delay(),
    "link": lambda task, item: task.apply_async((1,), link=task.si(item)),
    "chain": lambda task, item: chain(task.si(1), task.si(2), task.si(item)).delay(),
    "group": lambda task, item: group([task.si(item)]).delay(),
    "chord": lambda task, item: chord([task.si(1)], task.si(item)).delay(),
}


@pytest.mark.parametrize("case", INSTANCES)
def test_an_instance_that_is_sent_at_once(
    sqlite_kit: Kit, celery: Celery, restock: Any, case: str
) -> None:
    """It is refused too: stock Celery with pickle lets the worker work on a copy, whose changes go nowhere."""
    celery.conf.task_serializer = "pickle"
    with pytest.raises(DetachedArgumentError, match=r"task 'tests\.restock' is or holds .*'Item'"):
        INSTANCES[case](restock, sqlite_kit.Item(name="tea"))
    assert messages(celery) == []


def test_an_instance_that_stock_celery_sends() -> None:
    """What is guarded against: the message goes out, and brings the worker a copy."""
    celery = make_celery(None, task_serializer="pickle")
    task(celery, name="tests.stock")(nothing).delay(Product(id=1, stock=7))
    (message,) = messages(celery)
    message.accept = {"application/x-python-serialize"}
    assert message.decode()[0][0].stock == 7


def test_a_class_with_a_method_of_its_own(sqlite_kit: Kit, celery: Celery) -> None:
    """A task's own ``apply_async`` is called after the check, with what it was given."""
    given: list[Any] = []

    class Recording(Task):  # type: ignore[misc]
        def apply_async(self, *args: Any, **options: Any) -> Any:
            given.append((args, options))
            return super().apply_async(*args, **options)

    work = task(celery, base=Recording, name="tests.recording")(nothing)
    work.delay(1)
    work.apply_async((2,), None, "an-id")
    with pytest.raises(DetachedArgumentError):
        work.delay(sqlite_kit.Item(name="tea"))
    assert given == [(((1,), {}), {}), (((2,), None, "an-id"), {})]


def test_arguments_that_the_task_does_not_take(sqlite_kit: Kit, restock: Any) -> None:
    """They are refused at the call, as ``delay()`` does it."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(TypeError, match="takes from 1 to 2 positional arguments but 3 were"):
            restock.delay_on_commit(1, 2, 3)


def test_a_task_without_a_signature(sqlite_kit: Kit) -> None:
    """A class has none that Celery could check, and is sent all the same."""
    celery = make_celery(sqlite_kit)

    class Work(SafeTask):
        name = "tests.work"

        def run(self, *_: Any) -> None:
            pass

    @task(celery, typing=False)
    def unchecked() -> None:
        pass

    with sqlite_kit.app.app_context(), session_manager():
        celery.register_task(Work()).delay_on_commit(1)
        unchecked.delay_on_commit(2)
    assert arguments(celery) == [[[1], {}], [[2], {}]]


def test_signatures(sqlite_kit: Kit, celery: Celery, restock: Any) -> None:
    """A signature and what is built of them are frozen and sent as well."""
    product = ["new"]
    with sqlite_kit.app.app_context(), session_manager():
        apply_async_on_commit(restock.s(product), (2,), task_id="an-id")
        apply_async_on_commit(group(restock.s(each) for each in (3, 4)))
        apply_async_on_commit(chain(restock.si(5), restock.si(6)))
        apply_async_on_commit(chord([restock.s(7)], restock.si(8)), serializer="json")
        product.append("changed")
        assert messages(celery) == []
    sent = messages(celery)
    assert [message.decode()[0] for message in sent] == [[2, ["new"]], [3], [4], [5], [7]]
    assert sent[0].headers["id"] == "an-id"
    assert sent[3].decode()[2]["chain"][0]["args"] == [6]
    assert sent[4].decode()[2]["chord"]["args"] == [8]


def test_a_signature_that_is_not_sent(make_kit: MakeKit, caplog: pytest.LogCaptureFixture) -> None:
    """The log names it with its arguments, and with those of the call."""
    kit = make_kit(options={"hook_errors": "log"})
    celery = make_celery(kit, task_publish_retry=False)
    celery.conf.broker_url = NOBODY
    work = task(celery, name="tests.work")(nothing)
    with caplog.at_level(logging.ERROR), kit.app.app_context(), session_manager():
        apply_async_on_commit(work.s(), (2,), {"amount": 3})
    assert caplog.messages[-1].startswith(
        "The hook 'the Celery signature 'tests.work()' with (2, amount=3)' failed"
    )


def test_a_signature_with_an_instance(sqlite_kit: Kit, restock: Any) -> None:
    """It is refused as well."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(DetachedArgumentError, match=r"the Celery signature 'group\("):
            apply_async_on_commit(group([restock.s(sqlite_kit.Item(name="tea"))]))


def test_signatures_that_their_tasks_do_not_take(
    sqlite_kit: Kit, celery: Celery, restock: Any
) -> None:
    """They are refused at the call, where Celery would after the COMMIT; what follows gets a result, and may pass."""
    wrong: list[tuple[Any, tuple[Any, ...]]] = [
        (restock.s(), ()),
        (restock.s(1, 2), (3,)),
        (restock.si(), (1,)),
        (restock.s(1, colour="red"), ()),
        (group(restock.s(1), restock.s()), ()),
        (chord([restock.s()], restock.s()), ()),
        (chain(restock.s(), restock.s()), ()),
        (chain(group(restock.s(1), restock.s()), restock.s()), ()),
    ]
    with sqlite_kit.app.app_context(), session_manager():
        for sig, args in wrong:
            with pytest.raises(TypeError, match=r"positional argument|unexpected keyword"):
                apply_async_on_commit(sig, args)
        apply_async_on_commit(chain(restock.s(), restock.s()), (5,))
        apply_async_on_commit(restock.si(6), (1, 2, 3))
        apply_async_on_commit(celery.signature("elsewhere.task", (1, 2, 3)))
    assert [sent[0] for sent in arguments(celery)] == [[5], [6], [1, 2, 3]]


@pytest.mark.parametrize("given", ["tests.restock", None, nothing])
def test_what_is_no_signature(sqlite_kit: Kit, given: Any) -> None:
    """It says what is."""
    with sqlite_kit.app.app_context(), session_manager():
        with pytest.raises(TypeError, match=r"was given .* Give a signature"):
            apply_async_on_commit(given)


@pytest.mark.parametrize("option", ["chain", "link"])
def test_what_follows_is_frozen(sqlite_kit: Kit, celery: Celery, restock: Any, option: str) -> None:
    """It goes with the message: later changes are not sent, and what cannot be sent fails at the call."""
    product = ["new"]
    with sqlite_kit.app.app_context(), session_manager():
        restock.apply_async_on_commit((1,), **{option: [restock.s(product)]})
        product.append("changed")
        with pytest.raises(EncodeError):
            restock.apply_async_on_commit((1,), **{option: [restock.s(object())]})
    (message,) = messages(celery)
    embedded = message.decode()[2]
    assert (embedded["chain"] or embedded["callbacks"])[0]["args"] == [["new"]]


def test_a_task_that_runs_eagerly(sqlite_kit: Kit) -> None:
    """In a test it runs after the commit, in a context of its own, and finds the row."""
    celery = make_celery(sqlite_kit, task_always_eager=True, task_eager_propagates=True)
    found: list[Any] = []

    @task(celery)
    def read(name: str) -> None:
        with session_manager() as session:
            found.append(session.query(sqlite_kit.Item).filter_by(name=name).count())

    with sqlite_kit.app.app_context(), session_manager() as session:
        session.add(sqlite_kit.Item(name="tea"))
        read.delay_on_commit("tea")
    assert found == [1]


def test_a_task_that_sends_another(make_kit: MakeKit) -> None:
    """Its own transaction is the one that counts."""
    kit = make_kit(options={"celery_transactional": True})
    celery = make_celery(kit, task_always_eager=True, task_eager_propagates=True)
    seen: list[list[str]] = []

    @task(celery)
    def second() -> None:
        seen.append(kit.names())

    @task(celery)
    def first() -> None:
        kit.session().add(kit.Item(name="tea"))
        second.delay_on_commit()

    first.delay()
    assert seen == [["tea"]]


@pytest.mark.parametrize("broker", [NOBODY, "amqp://127.0.0.1:1//"])
def test_a_broker_that_is_down(
    make_kit: MakeKit, caplog: pytest.LogCaptureFixture, broker: str
) -> None:
    """The commit stands, the log names the message, and nobody waits for minutes."""
    kit = make_kit(options={"hook_errors": "log"})
    celery = make_celery(kit)
    celery.conf.broker_url = broker

    @task(celery, name="tests.restock")
    def restock(product: int, *, amount: int) -> None:
        pass

    began = time.monotonic()
    with caplog.at_level(logging.ERROR), kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="tea"))
        restock.apply_async_on_commit((7,), {"amount": 3}, task_id="an-id")
    assert time.monotonic() - began < 5
    assert (kit.names(), caplog.messages) == (
        ["tea"],
        [
            "The hook 'the Celery task 'tests.restock(7, amount=3)' (an-id)' failed after the transaction had ended."
        ],
    )


def test_a_broker_that_is_down_while_testing(sqlite_kit: Kit) -> None:
    """The error says which message it was, and that the transaction is committed."""
    celery = make_celery(sqlite_kit, task_publish_retry=False)
    celery.conf.broker_url = NOBODY

    @task(celery, name="tests.restock")
    def restock() -> None:
        pass

    with sqlite_kit.app.app_context(), pytest.raises(OperationalError) as caught:
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="tea"))
            restock.apply_async_on_commit(argsrepr="(secret)", task_id="an-id")
    assert vars(caught.value)["__notes__"] == [
        "The hook 'the Celery task 'tests.restock((secret))' (an-id)' failed; the transaction is committed."
    ]
    assert sqlite_kit.names() == ["tea"]
