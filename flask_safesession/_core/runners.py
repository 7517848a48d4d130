"""Who runs: an asyncio task, a greenlet of gevent, or a thread.

A runner is a weak reference, the same object whenever the same one asks. Neither an ident nor an address is a key: both
are given to the next when the first is gone. And what a task or greenlet refers to may hold connections.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from asyncio import Task, current_task
from asyncio import _get_running_loop as running_loop
from collections.abc import Iterator
from typing import Any

__all__ = [
    "Runner",
    "current_runner",
    "current_thread",
    "described",
    "has_ended",
    "here",
    "is_closing",
    "is_task",
    "modules",
    "own_task",
    "principal",
    "running_loop",
    "spawned",
    "standing_in",
]

Runner = weakref.ref[Any]

_FOR = "_safesession_stands_in_for"
_SPAWNED = "__sqlalchemy_greenlet_provider__"

modules = sys.modules  # gevent is looked at, never imported


class _Thread:
    """What stands for one thread and is collected with its last breath, also where C made the thread."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()


class _Here(threading.local):
    """The thread that asks."""

    def __init__(self) -> None:
        self._thread = _Thread()
        self.runner: Runner = weakref.ref(self._thread)


here = _Here()


def current_runner() -> Runner:
    """The task, greenlet or thread that calls this; what SQLAlchemy spawns for an ``AsyncSession`` is its task."""
    greenlet = _greenlet() if "gevent" in modules else None
    if greenlet is not None:
        return weakref.ref(greenlet)
    loop = running_loop()
    task = None if loop is None else current_task(loop)
    # The reference is the same object each time, as long as anybody keeps it.
    return here.runner if task is None else weakref.ref(task)


def _greenlet() -> Any:
    """The greenlet that is neither SQLAlchemy's nor a thread's first one.

    It counts more than a task: while one greenlet waits in its event loop, the loop seems to run in all of the thread.
    """
    greenlet = modules["greenlet"].getcurrent()
    while getattr(greenlet, _SPAWNED, False):
        greenlet = greenlet.parent
    return None if greenlet.parent is None else greenlet


def spawned() -> Any:
    """What SQLAlchemy has spawned to run this, if it has."""
    current = modules["greenlet"].getcurrent() if "greenlet" in modules else None
    return current if getattr(current, _SPAWNED, False) else None


def current_thread() -> Runner:
    """The thread that calls this, whatever runs in it."""
    return here.runner


def is_task(runner: Runner) -> bool:
    """Whether it is an asyncio task."""
    return isinstance(runner(), Task)


def is_closing(runner: Runner) -> bool:
    """Whether it is the task that SQLAlchemy makes at the end of ``async with AsyncSession()``."""
    task = runner()
    coroutine = task.get_coro() if isinstance(task, Task) else None
    return getattr(coroutine, "__qualname__", None) == "AsyncSession.close"


@contextlib.contextmanager
def standing_in(runner: Runner) -> Iterator[None]:
    """Let the caller pass for *runner*, which waits for it."""
    who = current_runner()()
    setattr(who, _FOR, runner)
    try:
        yield
    finally:
        delattr(who, _FOR)


def principal(runner: Runner) -> Runner:
    """Whom *runner* stands in for; itself, if for nobody."""
    while runner is not here.runner:
        found: Runner | None = getattr(runner(), _FOR, None)
        if found is None:
            break
        runner = found
    return runner


def own_task() -> Task[Any] | None:
    """The task that calls this, or the one that it stands in for; None outside of tasks."""
    loop = running_loop()
    task = None if loop is None else current_task(loop)
    runner: Runner | None = getattr(task, _FOR, None)
    other = None if runner is None else runner()
    return other if isinstance(other, Task) else task


def has_ended(runner: Runner) -> bool:
    """Whether it will never run again."""
    who = runner()
    if isinstance(who, Task):
        return who.done()
    return who is None or bool(getattr(who, "dead", False))


def described(runner: Runner) -> str:
    """Kind and name, for a sentence."""
    who = runner()
    if who is None:
        return "a thread or task that has ended"
    if isinstance(who, Task):
        return f"task '{who.get_name()}'"
    if isinstance(who, _Thread):
        return f"thread '{who.thread.name}'"
    return f"greenlet '{getattr(who, 'name', who)}'"
