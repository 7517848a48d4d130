"""Queues whose jobs go out after the COMMIT."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rq import Queue
from rq.job import Job

from .._arguments import refuse_bound_arguments, refuse_wrong_arguments
from .._messages import call_text, send_on_commit
from ._jobs import AppJob, function_name, perform

__all__ = ["AppQueue", "enqueue_on_commit"]


class AppQueue(Queue):
    """A queue that can wait for the COMMIT; without workers (``is_async=False``) its jobs have contexts too.

    Args:
        args: As for :class:`rq.Queue`, and so are the other keyword arguments.
        transactional: With ``is_async=False``, whether each job and each callback is one transaction. Elsewhere its
            worker says so.

    .. versionadded:: 0.1
    """

    job_class = AppJob

    def __init__(self, *args: Any, transactional: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if transactional:
            made: Any = type(AppJob.__name__, (self.job_class,), {"transactional": True})
            self.job_class = made

    def create_job(
        self,
        func: Any,
        args: tuple[Any, ...] | list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        *more: Any,
        **options: Any,
    ) -> Job:
        """Make a job, whichever method is to enqueue it; arguments as for :class:`rq.Queue`.

        Raises:
            TypeError: If *func* does not take the arguments.
            DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
        """
        _check(func, args or (), kwargs or {})
        return super().create_job(func, args, kwargs, *more, **options)

    def enqueue_on_commit(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a job after the COMMIT; see :func:`enqueue_on_commit`.

        .. versionadded:: 0.1
        """
        return enqueue_on_commit(self, f, *args, **kwargs)

    def enqueue_at_on_commit(
        self, datetime: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job for *datetime* after the COMMIT; the rest as for :func:`enqueue_on_commit`.

        .. versionadded:: 0.1
        """
        job: Job = _waiting(self, f).enqueue_at(datetime, f, *args, **kwargs)
        return job

    def enqueue_in_on_commit(
        self, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **kwargs: Any
    ) -> Job:
        """Schedule a job for *time_delta* from now after the COMMIT; the rest as for :func:`enqueue_on_commit`.

        .. versionadded:: 0.1
        """
        job: Job = _waiting(self, func).enqueue_in(time_delta, func, *args, **kwargs)
        return job


def enqueue_on_commit(queue: Queue, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
    """Enqueue a job after the COMMIT of the open transaction, and never if it rolls back.

    The arguments and ``meta`` are serialized now: what happens to them later does not reach the job.

    Args:
        queue: The queue, also one of RQ's own class.
        f: The function, or its import path.
        args: Its positional arguments.
        kwargs: Its keyword arguments and RQ's options, as for ``queue.enqueue``; no *pipeline*.

    Returns:
        The job, whose ``id`` can be stored; RQ does not know it before the COMMIT.

    Raises:
        NoTransactionError: If no transaction is open.
        TypeError: If *f* does not take the arguments, or a pipeline is given.
        DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.

    .. versionadded:: 0.1
    """
    job: Job = _waiting(queue, f).enqueue(f, *args, **kwargs)
    return job


def _waiting(queue: Queue, fn: Callable[..., Any] | str) -> Any:
    """*queue*, but what it would write to Redis now, it writes after the COMMIT."""
    waiting = copy.copy(queue)
    # Instance attributes: whatever options this version of RQ knows pass through its own methods.
    instance = vars(waiting)
    instance["enqueue_job"] = functools.partial(_send_later, queue, queue.enqueue_job, fn)
    instance["schedule_job"] = functools.partial(_send_later, queue, queue.schedule_job, fn)
    return waiting


def _send_later(
    queue: Queue,
    send: Callable[..., Job],
    fn: Callable[..., Any] | str,
    job: Job,
    *args: Any,
    pipeline: object = None,
    **options: Any,
) -> Job:
    _check(fn, job.args, job.kwargs)
    call = call_text(str(job.func_name), job.args, job.kwargs)
    text = f"the RQ job '{call}' ({job.id}) for the queue '{queue.name}'"
    if pipeline is not None:
        raise TypeError(
            f"A pipeline was given for {text}. It would be executed before the job is put into it; leave it out."
        )
    refuse_bound_arguments(text, (), {"meta": job.meta})
    job.meta = job.serializer.loads(job.serializer.dumps(job.meta))
    job.data = job.data  # serialized now, and read back where the job runs in this process
    send_on_commit(text, lambda: send(job, *args, **options), lambda: perform(job), "enqueue()")
    return job


def _check(fn: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    name = fn if isinstance(fn, str) else f"{getattr(fn, '__module__', '')}.{function_name(fn)}"
    text = f"the RQ job '{name}'"
    refuse_bound_arguments(text, args, kwargs)
    if callable(fn):
        refuse_bound_arguments(text, (), {"self": getattr(fn, "__self__", None)})
        refuse_wrong_arguments(text, fn, args, kwargs)
