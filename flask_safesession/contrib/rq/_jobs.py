"""``AppJob``: a function and callbacks that run in an application context each."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from flask import current_app
from rq.job import Job

from flask_safesession import AppContextManager
from flask_safesession.errors import NoAppError

from .._marks import is_transactional

__all__ = ["AppJob", "bound_job_class", "function_name", "perform"]


class AppJob(Job):
    """A job whose function and callbacks run in an application context each, with a session of their own.

    A worker of this module makes its jobs so by itself. On an asynchronous queue nothing of it is stored.

    .. versionadded:: 0.1
    """

    transactional: ClassVar[bool] = False
    """Whether each of them is one transaction, committed before RQ sees that it returned.

    A function says otherwise for itself with :func:`job_options`.
    """

    @staticmethod
    def contexts(transactional: bool) -> AppContextManager:
        """What makes the contexts; here those of the app that is current when the job runs.

        Raises:
            NoAppError: If there is none, as in a worker of RQ's own.
        """
        if not current_app:
            raise NoAppError(
                "This RQ worker knows no app. Start it with 'rq worker --worker-class "
                "flask_safesession.contrib.rq.AppWorker', and set 'SAFESESSION_APP' to what 'flask --app' takes. "
                "Without a worker ('is_async=False'), enqueue the job inside 'with app.app_context():'."
            )
        return AppContextManager(transactional=transactional)

    @property
    def func(self) -> Callable[..., Any]:
        """The function, which runs in a new context; a coroutine function does on an event loop of its own."""
        return self._in_context(super().func)  # type: ignore[no-any-return]

    @property
    def success_callback(self) -> Any:
        """What is called when the job has finished, in a context of its own."""
        return self._in_context(super().success_callback)

    @property
    def failure_callback(self) -> Any:
        """What is called when the job has failed, in a context of its own."""
        return self._in_context(super().failure_callback)

    @property
    def stopped_callback(self) -> Any:
        """What is called when the job was stopped, in a context of its own."""
        return self._in_context(super().stopped_callback)

    def _in_context(self, fn: Any) -> Any:
        if fn is None:
            return None

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            manager = self.contexts(is_transactional(fn, self.transactional))
            result = manager.wrap(fn)(*args, **kwargs)
            return asyncio.run(result) if inspect.iscoroutine(result) else result

        return run


def bound_job_class(
    job_class: type[Job], contexts: Callable[[bool], AppContextManager], transactional: bool
) -> type[Job]:
    """*job_class*, whose jobs run in the contexts that *contexts* makes, in transactions or not."""
    bases = (job_class,) if issubclass(job_class, AppJob) else (AppJob, job_class)
    own = {"contexts": staticmethod(contexts), "transactional": transactional}
    return type(job_class.__name__, bases, own)


def perform(job: Job) -> None:
    """Do what a worker does with *job*, apart from what it writes to Redis."""
    if not isinstance(job, AppJob):
        job.__class__ = bound_job_class(type(job), AppJob.contexts, transactional=False)
    try:
        fn: Any = job.func
        result = fn(*job.args, **job.kwargs)  # job.perform() needs Redis
    except Exception:
        if job.failure_callback:
            job.failure_callback(job, job.connection, *sys.exc_info())
        raise
    if job.success_callback:
        job.success_callback(job, job.connection, result)


def function_name(fn: Any) -> str:
    """The name of *fn* in messages."""
    return getattr(fn, "__qualname__", None) or repr(fn)
