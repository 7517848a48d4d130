"""``AppContextExecutor``: a ``ThreadPoolExecutor`` whose jobs have contexts and sessions of their own."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import ref

from flask import Flask
from typing_extensions import ParamSpec

from .. import errors
from .._core.places import outside
from .arguments import Instances
from .job import Claim, PooledJob, callback_job, submitted_job, take
from .options import JobOptions, make_job_options

__all__ = ["AppContextExecutor", "AppContextFuture", "ShutdownReport"]

P = ParamSpec("P")
T = TypeVar("T")

_FEW: Final = 64


@dataclass(frozen=True)
class ShutdownReport:
    """What became of the jobs that were not done when :meth:`AppContextExecutor.shutdown` was called.

    Attributes:
        finished: How many ended by themselves, in a result or an error.
        cancelled: How many never began.
        abandoned: How many were still running at the timeout; each rolls back when it ends.
    """

    finished: int = 0
    cancelled: int = 0
    abandoned: int = 0


_begin: Final = Future.set_running_or_notify_cancel


class AppContextFuture(Future[T]):
    """A future whose callbacks run in application contexts and sessions of their own."""

    _origin: tuple[JobOptions, Flask, Claim, Claim]
    _abandoned = False

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Call ``fn(future)`` when the job is done; what it raises is logged.

        Raises:
            DetachedArgumentError: If a value of ``g`` that goes along is or holds an ORM instance.
        """
        options, app, _, _ = self._origin
        super().add_done_callback(callback_job(options, fn, app))

    def set_exception(self, exception: BaseException | None) -> None:
        """As for :class:`concurrent.futures.Future`; without effect on an abandoned job."""
        try:
            if not self._abandoned:
                super().set_exception(exception)
        except InvalidStateError:
            if not self._abandoned:  # at this moment
                raise

    def set_running_or_notify_cancel(self) -> bool:
        """As for :class:`concurrent.futures.Future`; a cancelled job is said to be so only once."""
        return take(self._origin[3]) and _begin(self)

    def drop(self) -> bool:
        """Cancel a job that has not begun, and tell those who wait for it at once."""
        if not self.cancel():
            return False
        self.set_running_or_notify_cancel()
        return True

    def abandon(self, error: Exception) -> bool:
        """Report a running job as failed, unless it decided first; it rolls back when it ends."""
        claim = self._origin[2]
        if not take(claim):
            return False
        self._abandoned = True
        try:
            super().set_exception(error)
        except InvalidStateError:
            return False  # it failed at this moment
        return True


class _Outstanding:
    """The futures of an executor, as long as anybody else keeps them, and those that are done as long as they are few.

    A ``WeakSet`` would cost a call for each future that goes.
    """

    __slots__ = ("limit", "lock", "refs")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.refs: list[ref[AppContextFuture[Any]]] = []
        self.limit = _FEW

    def not_done(self) -> list[AppContextFuture[Any]]:
        futures = (each() for each in self.refs)
        return [each for each in futures if each is not None and not each.done()]

    def forget_done(self) -> None:
        """So seldom that it costs next to nothing for each future."""
        self.refs = [ref(each) for each in self.not_done()]
        self.limit = max(_FEW, 2 * len(self.refs))


class AppContextExecutor(ThreadPoolExecutor):
    """A thread pool in which each job has an application context and a session of its own.

    Args:
        max_workers: As for :class:`~concurrent.futures.ThreadPoolExecutor`, and so are *thread_name_prefix*,
            *initializer* and *initargs*.
        app: As for :class:`AppContextManager`, and so are *propagate_g*, *instances* and *transactional*; without an
            app, that of the submitter.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        app: Flask | None = None,
        propagate_g: Iterable[str] = (),
        instances: Instances = "raise",
        transactional: bool = False,
    ) -> None:
        self._options = make_job_options(app, propagate_g, instances, transactional)
        self._outstanding = _Outstanding()
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a thread, in a new application context with its own session.

        When the future is done, the context has ended: rolled back, or with ``transactional=True`` committed.

        Raises:
            TypeError: If *fn* is a coroutine function, or does not take these arguments.
            DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
            NoAppError: If there is no app.
            RuntimeError: If the executor was shut down.
        """
        job = submitted_job(self._options, fn, args, kwargs, PooledJob)
        outstanding = self._outstanding
        with outstanding.lock:
            # In an empty context: a Python whose threads inherit the context of their starter gives them nothing.
            future: Any = contextvars.Context().run(super().submit, job)
            # Executors take no class of futures. The job may be running by now.
            future._origin = (self._options, job.app, job.claim, [True])  # noqa: SLF001
            future.__class__ = AppContextFuture
            outstanding.refs.append(ref(future))
            if len(outstanding.refs) > outstanding.limit:
                outstanding.forget_done()
        return future  # type: ignore[no-any-return]

    def shutdown(  # type: ignore[override]  # the report is more than the None of the base
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
        drain: bool = False,
        timeout: float | None = None,
    ) -> ShutdownReport:
        """Take no more jobs, and let those end that were submitted.

        Args:
            wait: Return only when every thread has ended.
            cancel_futures: Cancel what has not begun.
            drain: Wait until everything that was submitted is done, also with ``wait=False``.
            timeout: Seconds to wait for the jobs. What has not begun then is cancelled; what still runs is reported as
                failed with a :class:`TimeoutError`, and rolled back when it ends. A job whose function has returned
                is waited for: its COMMIT, its hooks and the end of its context.

        Returns:
            What became of the jobs that were outstanding.

        Raises:
            ValueError: If *drain* is asked for together with *cancel_futures*, or *timeout* is no number of seconds.
            RuntimeError: If a job of this executor wants to wait for itself.
        """
        if drain and cancel_futures:
            raise ValueError(
                "'drain' lets every job run and 'cancel_futures' drops those that have not begun. Give one of them."
            )
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"'timeout' is {timeout!r}. Give seconds, or None to wait for ever.")
        if drain or timeout is not None:
            self._check_thread()
        with self._outstanding.lock:
            outstanding = self._outstanding.not_done()
            super().shutdown(wait=False, cancel_futures=cancel_futures)
        abandoned = _finish(outstanding, timeout) if drain or timeout is not None else 0
        if wait and timeout is None:
            super().shutdown()
        cancelled = sum(each.cancelled() for each in outstanding)
        finished = sum(each.done() for each in outstanding) - cancelled - abandoned
        report = ShutdownReport(finished, cancelled, abandoned)
        if timeout is not None and (cancelled or abandoned):
            _complain(report, timeout)
        return report

    def _check_thread(self) -> None:
        with self._outstanding.lock:  # a thread may run its first job before it is entered there
            waits_for_itself = threading.current_thread() in self._threads
        if waits_for_itself:
            raise RuntimeError(
                f"{outside().place} asked an executor to wait for its jobs, and is one of them. Shut the executor down "
                "from the code that made it."
            )


def _finish(futures: list[AppContextFuture[Any]], timeout: float | None) -> int:
    """Wait for *futures*, and end those that are not done at the *timeout*; return how many were running."""
    wait(futures, timeout)
    running = [each for each in futures if not (each.done() or each.drop())]
    error = TimeoutError(
        f"The executor was shut down, and the job was still running after {timeout} s."
    )
    abandoned = [each for each in running if each.abandon(error)]
    wait(running)  # those that were at their COMMIT
    return len(abandoned)


def _complain(report: ShutdownReport, timeout: float) -> None:
    outside().warn(
        f"The executor was shut down, and after {timeout} s {report.abandoned} job(s) were still running and "
        f"{report.cancelled} had not begun: the former are rolled back when they end, the latter are cancelled. "
        "Give a longer 'timeout', or wait for the futures first.",
        errors.SafeSessionWarning,
    )
