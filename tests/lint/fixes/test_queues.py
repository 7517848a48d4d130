"""Work that a scope hands to a queue is sent after the commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outcomes import PAIRS, after
from .requests import answer
from .rewritten import left, rewritten
from .store.mail import mail

QUEUES = sorted(PAIRS.glob("queues/*_before.py"))


@pytest.mark.parametrize("before", QUEUES, ids=lambda path: path.stem)
def test_a_message_waits_for_the_commit(before: Path) -> None:
    """To the byte, and for good: a second run has nothing to do."""
    assert rewritten(before.read_text(encoding="utf-8")) == after(before)
    assert rewritten(after(before)) == after(before)


@pytest.mark.parametrize("before", QUEUES, ids=lambda path: path.stem)
def test_the_worker_finds_the_row(before: Path, tmp_path: Path) -> None:
    """Before, it looked for it too early; the answer and the rows are the same."""
    old = answer(before.read_text(encoding="utf-8"), "new", tmp_path, safe=True)
    early = mail.taken()
    new = answer(after(before), "new", tmp_path, safe=True)
    assert (new.result, new.rows) == (old.result, old.rows)
    assert (early[0], mail.taken()[0]) == (False, True)


@pytest.mark.parametrize("before", QUEUES, ids=lambda path: path.stem)
def test_no_message_is_sent_for_what_is_not_stored(before: Path, tmp_path: Path) -> None:
    """Before, the worker got the name of an item that never was."""
    old = answer(before.read_text(encoding="utf-8"), "bad", tmp_path, safe=True)
    early = mail.taken()
    new = answer(after(before), "bad", tmp_path, safe=True)
    assert (new.result, new.rows) == (old.result, old.rows)
    assert (early, mail.taken()) == ([False], [])


HEAD = """\
import dramatiq
from celery import shared_task
from redis import Redis
from rq import Queue

from flask_safesession import session_manager, transactional
from flask_safesession.contrib.rq import AppQueue
from store.mail import mail
from store.shop import Item, db

app_queue = AppQueue(connection=Redis())
queue = Queue(connection=Redis())


@shared_task
def task(name):
    return name


@dramatiq.actor
def actor(name):
    return name


"""
CELERY = "from flask_safesession.contrib.celery import init_celery\n"
DRAMATIQ = "from flask_safesession.contrib import dramatiq as ours\n"


def _in_scope(
    *lines: str, head: str = "", scope: str = "with session_manager() as session:"
) -> str:
    body = "".join(f"        {each}\n" for each in lines)
    return f"{head}{HEAD}def work(name):\n    {scope}\n        session.add(Item(name=name))\n{body}"


@pytest.mark.parametrize(
    ("head", "call", "new"),
    [
        (CELERY, "task.delay(name)", "task.delay_on_commit(name)"),
        (CELERY, "task.apply_async((name,))", "task.apply_async_on_commit((name,))"),
        (CELERY, "task.s(name).delay()", "on_commit(task.s(name).delay)"),
        ("", "task.delay(name)", "on_commit(task.delay, name)"),
        (DRAMATIQ, "sent = actor.send(name)", "sent = actor.send_on_commit(name)"),
        ("", "actor.send(name)", "on_commit(actor.send, name)"),
        (
            "",
            "job = app_queue.enqueue(print, name)",
            "job = app_queue.enqueue_on_commit(print, name)",
        ),
        ("", "queue.enqueue(print, name)", "on_commit(queue.enqueue, print, name)"),
    ],
)
def test_each_queue_has_its_way(head: str, call: str, new: str) -> None:
    """The method of an integration that the project uses, else the hook."""
    assert f"        {new}\n" in rewritten(_in_scope(call, head=head))


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        ("its result is used", ["return mail.delay(name)"]),
        ("its result is used", ["found = task.delay(name)"]),
        ("a handler around it", ["try:", "    mail.delay(name)", "except OSError:", "    pass"]),
        ("a handler around it", ["try:", "    mail.delay(name)", "except:", "    raise"]),
    ],
)
def test_what_depends_on_the_sending_is_left_alone(reason: str, lines: list[str]) -> None:
    """Nothing is sent yet when the line runs."""
    code = _in_scope(*lines, head=CELERY)
    assert reason in left(code)[0]
    assert rewritten(code) == code


@pytest.mark.parametrize(
    "scope",
    [
        "with session_manager(propagation='supports') as session:",
        "with app.app_context():",
    ],
)
def test_without_a_scope_nothing_is_changed(scope: str) -> None:
    """There may be no transaction, and to register a hook would raise."""
    code = _in_scope("mail.delay(name)", scope=scope)
    assert rewritten(code) == code


def test_a_message_with_a_delay_is_left_alone() -> None:
    """Its author has thought of the commit, and the line says so."""
    code = _in_scope("task.apply_async((name,), countdown=5)")
    assert rewritten(code) == code
    assert "'countdown' may give the commit its time" in left(code)[0]
