"""``init_celery()``: the way to every task and every signal receiver of a Celery app."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from celery import Celery, current_app, signals
from celery.app.annotations import prepare
from celery.app.trace import build_tracer
from flask import Flask
from werkzeug.local import LocalProxy

from ._room import Room, new_context
from ._tasks import equip, equip_retries

__all__ = ["init_celery"]

_SIGNALS: Final = (  # whose sender is a task
    signals.task_prerun,
    signals.task_postrun,
    signals.task_success,
    signals.task_failure,
    signals.task_retry,
    signals.task_revoked,
    signals.task_internal_error,
)
_IN_CONTEXT: Final = "_safesession_in_context"
_SPAWNED: Final = "FORKED_BY_MULTIPROCESSING"  # the name is Celery's


def init_celery(celery: Celery, app: Flask) -> None:
    """Run the tasks of *celery* in application contexts of *app*, each with a session of its own.

    That goes for the body of a task, for each of its ``on_…`` handlers and for each receiver of its signals, in
    workers and where a task runs eagerly. Tasks may be made before or after this call. Of several calls for one
    Celery app the last counts.

    Args:
        celery: The Celery app; its configuration stays as it is.
        app: The Flask app, before or after ``SafeSession.init_app(app)``.

    Raises:
        TypeError: If *celery* is no Celery app or *app* no Flask app, or if a task's body is a coroutine or generator
            function; the latter when Celery makes the task, if that is later.

    .. versionadded:: 0.1
    """
    given: Any = app
    real = given._get_current_object() if type(given) is LocalProxy else given
    if not isinstance(celery, Celery) or not isinstance(real, Flask):
        raise TypeError(
            f"'init_celery()' was given {celery!r} and {real!r}. Give the Celery app and the Flask app, in this order."
        )
    room = Room.of(celery)
    if room is not None:
        room.app = real
        return
    room = Room(real)
    room.belong_to(celery)
    celery.annotations = _Annotations(celery, room)
    made: Any = celery._tasks  # noqa: SLF001 - "celery.tasks" would read the configuration
    for task in list(made.values()):
        equip(type(task))
        equip_retries(task)
    for signal in _SIGNALS:
        _wire_signal(signal)


class _Annotations:
    """Those of the user, and ours: Celery asks for them whenever it makes a task class, whatever its base."""

    def __init__(self, celery: Celery, room: Room) -> None:
        self._celery = celery
        self._room = room
        signals.worker_process_init.connect(self.begin_process)

    def __iter__(self) -> Iterator[Any]:
        yield self
        yield from prepare(self._celery.conf.task_annotations)

    def annotate(self, cls: Any) -> None:
        """Equip *cls* at the end of its making, when the user's annotations are applied."""
        bound = cls.on_bound

        def on_bound(cls: Any, app: Celery) -> None:
            bound(app)
            equip(cls)

        cls.on_bound = classmethod(on_bound)

    def begin_process(self, sender: Any = None, **_: Any) -> None:
        """A worker's process begins: forked or spawned, or the worker itself."""
        if _SPAWNED in os.environ:
            _adopt(current_app._get_current_object(), self._celery, self._room.app, sender)


def _adopt(made: Any, celery: Celery, app: Flask, hostname: str | None) -> None:
    """Where processes are spawned, Celery runs a copy of its app that it has *made* there and nobody has wired."""
    if Room.of(made) is not None or made.main != celery.main:
        return
    init_celery(made, app)
    for name, task in made.tasks.items():
        task.__trace__ = build_tracer(name, task, made.loader, hostname, app=made)


def _wire_signal(signal: Any) -> None:
    """Run each receiver of *signal* in a context of its own, also those that are connected later."""
    if hasattr(signal, _IN_CONTEXT):
        return
    setattr(signal, _IN_CONTEXT, True)
    find = signal._live_receivers  # noqa: SLF001 - what every way of sending asks for
    signal._live_receivers = lambda sender: [_Receiver(each) for each in find(sender)]  # noqa: SLF001


class _Receiver:
    """A receiver in a context of its own; its name in log lines is that of the receiver."""

    def __init__(self, receiver: Callable[..., Any]) -> None:
        self._receiver = receiver

    def __call__(self, *, sender: Any, **named: Any) -> Any:
        # Not in a copy of the context variables: tracing sets them in one receiver for the body and for another.
        with new_context(sender):
            return self._receiver(sender=sender, **named)

    def __repr__(self) -> str:
        return repr(self._receiver)
