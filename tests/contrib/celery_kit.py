"""A Celery app on a kit, with its messages in memory where no broker is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from celery import Celery

from flask_safesession.contrib.celery import init_celery

from ..kit import Kit

__all__ = ["make_celery", "messages", "task"]

_numbers = itertools.count(1)


def make_celery(kit: Kit | None, **config: Any) -> Celery:
    """A Celery app, in the contexts of the app of *kit*, if any.

    Args:
        kit: Where the tasks work.
        config: Celery's settings, such as ``task_always_eager``.
    """
    celery = Celery(f"tests{next(_numbers)}", set_as_current=False)
    celery.conf.update(
        broker_url="memory://",
        result_backend="cache+memory://",
        task_default_queue=f"safesession-tests-{next(_numbers)}",
        **config,
    )
    if kit is not None:
        init_celery(celery, kit.app)
    return celery


def messages(celery: Celery) -> list[Any]:
    """The messages in the queue of *celery*, first in first out; it is empty then."""
    found = []
    with celery.connection_for_read() as connection:
        channel = connection.default_channel
        celery.amqp.queues[celery.conf.task_default_queue](channel).declare()
        while (
            message := channel.basic_get(celery.conf.task_default_queue, no_ack=True)
        ) is not None:
            found.append(message)
    return found


def task(celery: Celery, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``celery.task(…)`` for this app only: by default Celery gives a task to the apps of all tests."""
    decorate: Callable[[Callable[..., Any]], Any] = celery.task(shared=False, **options)
    return decorate
