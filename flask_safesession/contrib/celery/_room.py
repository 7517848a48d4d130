"""What belongs to one Celery app: the Flask app in whose contexts its tasks run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery, Task
from flask import Flask, current_app

from flask_safesession import AppContextManager

__all__ = ["Room", "callers_context", "in_new_context", "new_context", "room_of"]

_ROOM: Final = "_safesession_room"


@dataclass
class Room:
    """The Flask app of one Celery app."""

    app: Flask

    @classmethod
    def of(cls, celery: Celery) -> Room | None:
        """That of *celery*, once ``init_celery()`` was called."""
        room: Room | None = vars(celery).get(_ROOM)
        return room

    def belong_to(self, celery: Celery) -> None:
        vars(celery)[_ROOM] = self

    def context(self) -> AppContextManager:
        """A new application context."""
        return AppContextManager(self.app)

    def is_current(self) -> bool:
        """Whether the caller is in a context of this app."""
        return bool(current_app) and current_app._get_current_object() is self.app  # type: ignore[attr-defined]

    @property
    def state(self) -> Any:
        """What ``SafeSession.init_app()`` made of the app; None before that."""
        return self.app.extensions.get("safesession.state")

    def is_transactional(self) -> bool:
        """What ``SAFESESSION_CELERY_TRANSACTIONAL`` says."""
        return self.state is not None and bool(self.state.settings.celery_transactional)


def room_of(task: Any) -> Room | None:
    """The room of the Celery app of *task*, an instance or a class; none for what is no task."""
    is_task = isinstance(task, Task) or (isinstance(task, type) and issubclass(task, Task))
    return Room.of(task.app) if is_task else None


def new_context(task: Any) -> AbstractContextManager[object]:
    """A new context for what belongs to *task*."""
    room = room_of(task)
    return nullcontext() if room is None else room.context()


def callers_context(task: Any) -> AbstractContextManager[object]:
    """The context of a plain call: the caller's, or a new one where the caller has none of this app."""
    room = room_of(task)
    return nullcontext() if room is None or room.is_current() else room.context()


def in_new_context(task: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    """*fn* as a job of its own: nothing of the caller's context is there, and nothing of it stays."""
    room = room_of(task)
    return fn if room is None else room.context().wrap(fn)
