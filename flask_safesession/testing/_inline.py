"""Jobs that run at once, in the thread of the test."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from .._context import AppContextManager
from .._core.hooks import hook_name
from .._jobs.executor import AppContextExecutor, AppContextFuture
from .._jobs.job import submitted_job
from .._jobs.queued import QueuedJob
from .._jobs.threads import AppContextThread
from ._loans import BEGUN

__all__ = ["inline_jobs"]

T = TypeVar("T")

logger = logging.getLogger("flask_safesession")


@contextlib.contextmanager
def inline_jobs() -> Iterator[None]:
    """Run jobs in the thread that asks for them.

    Inside the ``with`` block those of ``AppContextExecutor`` and ``AppContextManager.thread()`` run when they are
    submitted or started, and those that go to a queue after the COMMIT (Celery's ``delay_on_commit()``, and what the
    other integrations have) when they would be sent: no broker is needed, delays count as over, and an error is logged.
    A coroutine waits for those that it asks for; they may run an event loop. Each still has an application context and
    a session of its own, and its arguments are checked as ever. A thread that works beside others until it is stopped
    would never end here; let such code run as it is, and wait for its jobs. What is sent without waiting for a COMMIT
    goes its usual way, and so do jobs of worker processes.

    .. versionadded:: 0.1
    """
    stock = [getattr(owner, name) for owner, name, _ in _INLINE]
    for owner, name, inline in _INLINE:
        setattr(owner, name, inline)
    try:
        yield
    finally:
        for (owner, name, _), method in zip(_INLINE, stock, strict=True):
            setattr(owner, name, method)


def _at_once(job: Callable[[], T]) -> T:
    """Run *job* as a thread of its own would: without the context variables and the event loop of the caller."""
    there = contextvars.Context()
    there.run(
        BEGUN.set, BEGUN.get()
    )  # the caller's transaction goes on when the job has ended, and not before
    with _no_event_loop():
        return there.run(job)


@contextlib.contextmanager
def _no_event_loop() -> Iterator[None]:
    """Let a job of a coroutine run an event loop, as it may in a thread (see "Extending asyncio")."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - made for event loops
    if loop is None:
        yield
        return
    task: Any = asyncio.current_task(loop)  # None in a callback of the loop
    with contextlib.ExitStack() as back:
        if task is not None:
            asyncio.tasks._leave_task(loop, task)  # noqa: SLF001 - made for what runs tasks
            back.callback(asyncio.tasks._enter_task, loop, task)  # noqa: SLF001 - as above
        asyncio._set_running_loop(None)  # noqa: SLF001 - as above
        back.callback(asyncio._set_running_loop, loop)  # noqa: SLF001 - as above
        yield


def _submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    if self._shutdown:
        raise RuntimeError(
            "cannot schedule new futures after shutdown"
        )  # the words of Python's own
    job = submitted_job(self._options, fn, args, kwargs)
    future: Any = Future()
    future._origin = (self._options, job.app, job.claim, [True])  # noqa: SLF001
    future.__class__ = AppContextFuture
    future.set_running_or_notify_cancel()
    try:
        result = _at_once(job)
    except Exception as error:  # whoever asks for the result gets it
        logger.exception("'%s' failed.", hook_name(fn))
        future.set_exception(error)
    else:
        future.set_result(result)
    return future  # type: ignore[no-any-return]


def _start(self: Any) -> None:
    self._job = self._make_job()
    # It was never started, as far as Python knows.
    self.join = lambda timeout=None: None
    try:
        _at_once(self.run)
    except Exception:  # noqa: BLE001 - a thread tells nobody but the hook
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self)))


def _perform(self: Any) -> None:
    try:
        with _no_event_loop():
            AppContextManager().wrap(self.run)()
    except Exception:  # the one who sends it never hears of it
        logger.exception("%s failed.", self)


_INLINE: tuple[tuple[type, str, Callable[..., object]], ...] = (
    (AppContextExecutor, "submit", _submit),
    (AppContextThread, "start", _start),
    (QueuedJob, "__call__", _perform),
)
