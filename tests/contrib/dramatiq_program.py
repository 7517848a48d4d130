"""The broker and the actors of the tests with real workers: declared by the test, which sends, and by the worker."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import (
    AsyncIO,
    Callbacks,
    CurrentMessage,
    Middleware,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)
from dramatiq.threading import is_gevent_active
from flask import has_app_context
from sqlalchemy import select, text

from flask_safesession import session_manager
from flask_safesession.contrib.dramatiq import SafeSessionMiddleware

from ..kit import Kit

__all__ = ["PATIENCE", "Actors", "declare_actors", "make_broker"]

# SQLite's readers wait for its writers: on a busy machine for longer than the second of the kits.
PATIENCE: Final = {"sqlite": {"connect_args": {"timeout": 30}}}
LOG: Final = logging.getLogger("tests.dramatiq")


class Report(Middleware):
    """Says how each message ended, and what it left on its thread."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: Any = None
    ) -> None:
        LOG.warning(
            "%s%s ended with %s; %d out, context: %s",
            message.actor_name,
            list(message.args),
            type(exception).__name__,
            self._kit.checkedout(),
            has_app_context(),
        )


def make_broker(url: str, name: str, kit: Kit) -> Broker:
    """A broker whose keys or queues begin with *name*."""
    middleware = [
        Report(kit),
        TimeLimit(interval=20),
        ShutdownNotifications(notify_shutdown=True),
        Callbacks(),
        Retries(max_retries=0),
        CurrentMessage(),
        SafeSessionMiddleware(kit.app),
        *(() if is_gevent_active() else (AsyncIO(),)),  # type: ignore[no-untyped-call]
    ]
    if url.startswith("redis"):
        return RedisBroker(url=url, namespace=name, middleware=middleware)  # type: ignore[no-untyped-call]
    return RabbitmqBroker(url=url, middleware=middleware)


@dataclass
class Actors:
    """The actors."""

    look: Any
    store: Any
    late: Any
    linger: Any
    awaited: Any


def declare_actors(broker: Broker, name: str, kit: Kit) -> Actors:
    """Declare the actors on *broker*, for the queue *name*."""
    looked: Counter[bool] = Counter()
    lock = threading.Lock()

    @dramatiq.actor(broker=broker, queue_name=name)
    def look(item: str, total: int) -> None:
        """Read the row at once, and report when *total* messages have done so."""
        found = kit.session().scalar(select(kit.Item.id).where(kit.Item.name == item))
        with lock:
            looked[found is not None] += 1
            if looked.total() == total:
                LOG.warning("%d seen, %d missed", looked[True], looked[False])

    @dramatiq.actor(broker=broker, queue_name=name, transactional=True)
    def store(item: str) -> None:
        kit.session().add(kit.Item(name=item))
        kit.session().flush()
        LOG.warning("%s stored in process %d", item, os.getpid())

    @dramatiq.actor(
        broker=broker, queue_name=name, transactional=True, max_retries=1, min_backoff=1
    )
    def late() -> None:
        """Store what COMMIT refuses, and at the second try something else."""
        message: Any = CurrentMessage.get_current_message()
        if message.options.get("retries"):
            kit.session().add(kit.Item(name="second try"))
        else:
            kit.session().add(kit.LateChild(name="lost", parent_id=999))

    @dramatiq.actor(broker=broker, queue_name=name, transactional=True)
    def linger() -> None:
        """Write, and do not come to an end."""
        kit.session().add(kit.Item(name="half"))
        kit.session().flush()
        LOG.warning("lingering")
        while True:
            threading.Event().wait(0.01)

    @dramatiq.actor(broker=broker, queue_name=name, transactional=True)
    async def awaited(item: str) -> None:
        """Store a row on PostgreSQL."""
        async with session_manager() as session:
            session.add(kit.Item(name=item))
            connection = await session.scalar(text("SELECT pg_backend_pid()"))
        LOG.warning("%s stored by connection %s", item, connection)

    return Actors(look, store, late, linger, awaited)
