"""The jobs that run when a test is over: what each calls, who asked for it, and where it is now."""

from __future__ import annotations

import contextlib
import sys
import threading
from asyncio import Task
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from .._core.hooks import hook_name
from .._core.places import Place, outside
from .._jobs import tasks
from .._jobs.job import Job, PooledJob
from .._jobs.threads import AppContextThread
from ._contexts import FRAMEWORK
from ._swapping import swapped

__all__ = ["JobWatch"]

_WAITING = ("threading", "concurrent.", "queue", "selectors", "socket", "sqlalchemy.")
_POOLED = PooledJob.__call__.__code__
_THREAD = AppContextThread.run.__code__


class _Running(NamedTuple):
    """A job of a thread: the outermost frame of it, its thread, and the reader's frame that is under way."""

    frame: FrameType
    ident: int
    inner: FrameType | None

    @property
    def name(self) -> str:
        """What it calls."""
        runner: Any = self.frame.f_locals["self"]
        return hook_name(runner._fn if isinstance(runner, AppContextThread) else runner.fn)  # noqa: SLF001

    @property
    def job(self) -> object:
        """It itself, except in the first moment of a thread of its own."""
        known = self.frame.f_locals
        return known["self"] if self.frame.f_code is _POOLED else known.get("job")


class JobWatch:
    """Sees the jobs that begin in a test, and notes the lines that ask for them."""

    def __init__(self) -> None:
        # What runs is alive: the last one that was made at its address is it.
        self._asked: dict[int, Place] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look inside the ``with`` block."""
        self._frames = {each.frame for each in _running()}
        self._tasks = set(tasks.running_tasks())
        with swapped(Job, "__init__", self._making), swapped(tasks, "_work", self._working):
            yield

    def report(self) -> Iterator[str]:
        """A sentence for each that has begun since."""
        yield from self._in_threads()
        for task, coro in tasks.running_tasks().items():
            if task not in self._tasks:
                yield self._told_of(task, coro)

    def _in_threads(self) -> Iterator[str]:
        names = {each.ident: each.name for each in threading.enumerate()}
        for running in _running():
            if running.frame in self._frames:
                continue
            where = f"still runs in the thread '{names.get(running.ident, running.ident)}'"
            yield f"the job '{running.name}' {where}{self._by(running.job)}{_at(running.inner)}"

    def _told_of(self, task: Task[Any], coro: Any) -> str:
        return (
            f"the job '{coro.__qualname__}' still runs in the task '{task.get_name()}'{self._by(coro)}"
            f"{_at(coro.cr_frame)}"
        )

    def _by(self, job: object) -> str:
        place = self._asked.get(id(job))
        return "" if place is None else f", begun by {place}"

    def _making(self, stock: Any) -> Any:
        def make(job: Job, *args: Any, **kwargs: Any) -> None:
            self._asked[id(job)] = outside().place
            stock(job, *args, **kwargs)

        return make

    def _working(self, stock: Any) -> Any:
        def work(app: Any, options: Any, coro: Any, values: Any) -> Any:
            self._asked[id(coro)] = outside().place
            return stock(app, options, coro, values)

        return work


def _at(frame: FrameType | None) -> str:
    return "" if frame is None else f", and is in {Place(frame.f_code, frame.f_lasti)}"


def _running() -> Iterator[_Running]:
    for ident, top in sys._current_frames().items():  # noqa: SLF001 - Python's own
        frame: FrameType | None = top
        inner = None
        while frame is not None and frame.f_code not in (_POOLED, _THREAD):
            if not str(frame.f_globals.get("__name__")).startswith(FRAMEWORK + _WAITING):
                inner = frame
            frame = frame.f_back
        if frame is not None:
            yield _Running(frame, ident, inner)
