"""How a job runs: in contexts and a session of its own, whoever awaits or calls it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.util import iscoroutinefunction_partial, ref_to_obj
from flask import Flask

from flask_safesession import AppContextManager, errors

from .._marks import is_transactional, plain

__all__ = ["ContextExecutor", "ContextJob", "Unit", "managers_of", "name_of", "refuse_coroutine"]


def managers_of(app: Flask) -> dict[bool, AppContextManager]:
    """Without and with a transaction."""
    return {each: AppContextManager(app, transactional=each) for each in (False, True)}


@functools.cache
def _process_managers(reference: str | None) -> dict[bool, AppContextManager]:
    if reference is None:
        raise errors.NoAppError(
            "A job ran in a process of its own, which has no app. Name a function that makes one: "
            "'init_scheduler(scheduler, app, process_app=create_app)'."
        )
    return managers_of(ref_to_obj(reference)())


@dataclass(frozen=True)
class Unit:
    """How a job runs: in which app, and in a transaction or not."""

    managers: dict[bool, AppContextManager] | None
    transactional: bool
    process_app: str | None

    def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call *fn* in a new application context, apart from everything that this thread was started in."""
        return Context().run(self._wrap(fn, transactional=False), *args, **kwargs)

    def run_job(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the function of a job; see :meth:`run`."""
        if iscoroutinefunction_partial(fn):
            raise _refusal(fn)
        transactional = is_transactional(fn, self.transactional)
        # A class is called to make an instance, and a partial that does so is a function to everybody.
        call = functools.partial(fn) if isinstance(fn, type) else fn
        return Context().run(self._wrap(call, transactional), *args, **kwargs)

    async def await_job(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """The same for a coroutine function; a scheduler starts the event loop's tasks in an empty context."""
        wrapped = self._wrap(fn, is_transactional(fn, self.transactional))
        return await wrapped(*args, **kwargs)

    def _wrap(self, fn: Callable[..., Any], transactional: bool) -> Callable[..., Any]:
        managers = self.managers
        if managers is None:
            managers = _process_managers(self.process_app)
        return managers[transactional].wrap(fn)


class ContextExecutor:
    """An executor that is handed jobs with contexts, and is itself in all else."""

    def __init__(self, executor: Any, unit: Unit) -> None:
        self._executor = executor
        self._unit = unit

    def submit_job(self, job: Any, run_times: list[Any]) -> None:
        is_asynchronous = isinstance(self._executor, AsyncIOExecutor)
        self._executor.submit_job(ContextJob(job, self._unit, is_asynchronous), run_times)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)


class ContextJob:
    """A job whose function has a context; it is handed to an executor and never stored."""

    def __init__(self, job: Any, unit: Unit, is_asynchronous: bool = False) -> None:
        self._job = job
        self._unit = unit
        self._is_asynchronous = is_asynchronous

    @property
    def func(self) -> Callable[..., Any]:
        fn = self._job.func
        is_awaited = self._is_asynchronous and iscoroutinefunction_partial(fn)
        return functools.partial(self._unit.await_job if is_awaited else self._unit.run_job, fn)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def __str__(self) -> str:
        return str(self._job)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # On its way to another process, which has an app of its own.
        return ContextJob, (self._job, replace(self._unit, managers=None))


def name_of(fn: Any) -> str:
    return str(getattr(plain(fn), "__qualname__", fn))


def refuse_coroutine(scheduler: Any, fn: Any, alias: str) -> None:
    """Refuse a coroutine function that its executor would not await."""
    executor = scheduler._executors.get(alias)  # noqa: SLF001 - it has no other way to ask
    awaits = isinstance(
        scheduler if executor is None else executor, (AsyncIOScheduler, AsyncIOExecutor)
    )
    if iscoroutinefunction_partial(fn) and not awaits:
        raise _refusal(fn)


def _refusal(fn: Any) -> TypeError:
    return TypeError(
        f"The job '{name_of(fn)}' is a coroutine function, and its executor awaits none: the session of a job "
        "belongs to one thread. Make it a plain function, or give it to an 'AsyncIOScheduler' with its own executor."
    )
