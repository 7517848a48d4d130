"""The scheduler: what is added to it is checked, and what it runs has contexts."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
from collections.abc import Callable, Mapping
from contextvars import Context
from datetime import datetime, timezone
from typing import Any, Final

from apscheduler.events import EVENT_ALL
from apscheduler.job import Job
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.util import (
    check_callable_args,
    iscoroutinefunction_partial,
    maybe_ref,
    obj_to_ref,
    undefined,
)
from flask import Flask

from flask_safesession import AppContextManager

from .._arguments import refuse_bound_arguments
from .._marks import plain
from .._messages import call_text, send_on_commit
from ._running import ContextExecutor, Unit, managers_of, name_of, refuse_coroutine

__all__ = ["add_job_on_commit", "init_scheduler"]

_DEFAULTS: Final = {
    "misfire_grace_time": None,
    "coalesce": True,
    "max_instances": 1,
    "executor": "default",
}
_OPTIONS: Final = ("func", "args", "kwargs", "id", "name", "next_run_time", *_DEFAULTS)


def init_scheduler(
    scheduler: Any,
    app: Flask,
    *,
    transactional: bool = False,
    process_app: Callable[[], Flask] | str | None = None,
) -> None:
    """Run the jobs of *scheduler*, and its listeners, in application contexts of their own.

    Jobs, job stores, executors and listeners may be added before or after, and keep what they are: a persistent job
    store gets what it would get without this. A coroutine function runs where the executor is that of an
    ``AsyncIOScheduler``, in a task of its own.

    Args:
        scheduler: A scheduler of APScheduler 3, before or after its start.
        app: The application; called again with another one, the last counts.
        transactional: Run each job in one transaction. The function of a job says otherwise for itself with
            :func:`job_options`.
        process_app: For executors with processes: a function that makes the app, or its name such as
            ``"shop:create_app"``. Each process calls it once, at its first job.

    Raises:
        TypeError: If *scheduler* is no scheduler, *app* no Flask app, or *transactional* neither True nor False. If a
            job is a coroutine function and its executor no asynchronous one: here for the jobs that are already there,
            else when it is added or, from a store, when it runs.
        DetachedArgumentError: When a job is added with an ORM instance, a session or a proxy among its arguments.
        ValueError: If *process_app* is a function that has no name in a module.
        LookupError: If *process_app* is a name that leads nowhere.

    .. versionadded:: 0.1
    """
    _check_scheduler(scheduler)
    reference = None if process_app is None else str(obj_to_ref(maybe_ref(process_app)))
    AppContextManager(transactional=transactional)  # checks it
    unit = Unit(managers_of(app), transactional, reference)
    for job in scheduler.get_jobs():
        refuse_coroutine(scheduler, job.func, job.executor)
    if isinstance(scheduler, _ContextScheduler):
        scheduler.unit = unit
        return
    taken: Any = scheduler
    taken.__class__ = _with_contexts(taken.__class__)
    taken.begin(unit)


def add_job_on_commit(
    scheduler: Any, func: Callable[..., object] | str, /, *args: Any, **options: Any
) -> None:
    """Call ``scheduler.add_job(func, …)`` after the COMMIT of the open transaction, and never if it rolls back.

    The arguments have the same meaning as for ``add_job``. Those of the job are copied now: what happens to them later
    does not reach the job.

    Raises:
        NoTransactionError: If no transaction is open.
        DetachedArgumentError: If an argument of the job is or holds an ORM instance, a session or a proxy.
        TypeError: If *scheduler* is no scheduler, *func* is a coroutine function and its executor no asynchronous one,
            an option of the job or an argument of its trigger is wrong, or the job store could not keep the job.
        ValueError: If *func* cannot be called with the arguments of the job.
        LookupError: If *func* is a name that leads nowhere, no trigger has the name that is given, or a scheduler that
            runs has no such job store or executor.

    .. versionadded:: 0.1
    """
    _check_scheduler(scheduler)
    call = _checked(scheduler, func, *args, **options)
    given = call.arguments
    given.update(args=copy.deepcopy(given["args"]), kwargs=copy.deepcopy(given["kwargs"]))
    target = maybe_ref(func)
    check_callable_args(target, given["args"], given["kwargs"])
    name = f"{getattr(plain(target), '__module__', '')}.{name_of(target)}"
    label = given.get("id") or given.get("name")
    text = f"the APScheduler job '{call_text(name, given['args'], given['kwargs'])}'"
    _try_to_store(scheduler, text, call)
    send = functools.partial(scheduler.add_job, *call.args[1:], **call.kwargs)
    run = functools.partial(target, *given["args"], **given["kwargs"])
    if isinstance(scheduler, _ContextScheduler):
        run = functools.partial(scheduler.unit.run_job, run)
    if given.get("trigger") is not None or iscoroutinefunction_partial(target):
        run = send  # it is for later, or for an event loop
    send_on_commit(f"{text} ({label})" if label else text, send, run, "add_job()")


def _check_scheduler(scheduler: object) -> None:
    if not isinstance(scheduler, BaseScheduler):
        raise TypeError(
            f"'scheduler' is {scheduler!r}. Give a scheduler of APScheduler 3, such as 'BackgroundScheduler()'. "
            "Flask-APScheduler has one in its attribute 'scheduler'."
        )


def _checked(scheduler: Any, func: Any, *args: Any, **options: Any) -> inspect.BoundArguments:
    """The arguments of ``add_job``, those of the job refused where they belong to the caller."""
    call = inspect.signature(BaseScheduler.add_job).bind(scheduler, func, *args, **options)
    given = call.arguments
    given.update(args=tuple(given.get("args") or ()), kwargs=dict(given.get("kwargs") or {}))
    target = maybe_ref(func)
    refuse_coroutine(scheduler, target, given.get("executor", "default"))
    job = f"the APScheduler job '{name_of(target)}'"
    refuse_bound_arguments(job, (), {"func": target})
    refuse_bound_arguments(job, given["args"], given["kwargs"])
    return call


def _try_to_store(scheduler: Any, text: str, call: inspect.BoundArguments) -> None:
    """Make the job, and let it go: what its store could not keep is found here and not after the COMMIT."""
    given = call.arguments
    # Only tried: a job without a trigger runs at once, and that is counted from the COMMIT.
    trigger = scheduler._create_trigger(  # noqa: SLF001
        given.get("trigger"), dict(given.get("trigger_args", {}))
    )
    stores = scheduler._jobstores  # noqa: SLF001 - it has no other way to ask
    alias = given.get("jobstore", "default")
    store = _known(scheduler, text, "job store", stores, alias)
    _known(scheduler, text, "executor", scheduler._executors, given.get("executor", "default"))  # noqa: SLF001
    options = {
        name: given[name] for name in _OPTIONS if given.get(name, undefined) is not undefined
    }
    parts = {**_DEFAULTS, "next_run_time": datetime.now(timezone.utc), **options}
    job = Job(scheduler, trigger=trigger, **parts)
    protocol = getattr(store, "pickle_protocol", None)
    if protocol is None:
        return  # it keeps objects, or is not there yet
    try:
        pickle.dumps(job.__getstate__(), protocol)
    except Exception as error:
        raise TypeError(
            f"{text[0].upper()}{text[1:]} cannot be kept in the job store '{alias}': {error} Give it a function of a "
            "module, no lambda and no function inside of another, and plain values."
        ) from error


def _known(scheduler: Any, text: str, kind: str, known: Mapping[str, Any], alias: str) -> Any:
    """What *scheduler* has under *alias*; None where it may come until the start."""
    if alias not in known and scheduler.running:
        raise KeyError(
            f"{text} has no {kind}: the scheduler knows {', '.join(map(repr, known))}, and not {alias!r}"
        )
    return known.get(alias)


class _ContextScheduler(BaseScheduler):  # type: ignore[misc] # APScheduler has no types
    """What is put under the class of a scheduler."""

    unit: Unit
    _listeners: list[tuple[Callable[[Any], object], int]]

    def begin(self, unit: Unit) -> None:
        self.unit = unit
        with self._listeners_lock:
            self._listeners = [(_Listener(self, each), mask) for each, mask in self._listeners]

    def start(self, *args: Any, **kwargs: Any) -> Any:
        # Threads and event loops may hand on the context in which they were started, for as long as they live.
        return Context().run(super().start, *args, **kwargs)

    def wakeup(self) -> None:
        Context().run(super().wakeup)

    def add_job(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        call = _checked(self, func, *args, **kwargs)
        return super().add_job(*call.args[1:], **call.kwargs)

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Any:
        if "func" in changes:
            known: Any = self.get_job(job_id, jobstore)
            alias = changes.get("executor", getattr(known, "executor", "default"))
            refuse_coroutine(self, maybe_ref(changes["func"]), alias)
        job = f"the APScheduler job '{job_id}'"
        refuse_bound_arguments(job, changes.get("args") or (), changes.get("kwargs") or {})
        return super().modify_job(job_id, jobstore, **changes)

    def add_listener(self, callback: Callable[[Any], object], mask: int = EVENT_ALL) -> None:
        super().add_listener(_Listener(self, callback), mask)

    def _lookup_executor(self, alias: str) -> ContextExecutor:
        return ContextExecutor(super()._lookup_executor(alias), self.unit)


@functools.cache
def _with_contexts(cls: Any) -> Any:
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (_ContextScheduler, cls), names)


class _Listener:
    """A listener that has a context; equal to the one that was given, so that it can be removed."""

    def __init__(self, scheduler: _ContextScheduler, callback: Callable[[Any], object]) -> None:
        self._scheduler = scheduler
        self._callback = callback

    def __call__(self, event: Any) -> None:
        self._scheduler.unit.run(self._callback, event)

    def __eq__(self, other: object) -> bool:
        return bool(self._callback == other)

    def __hash__(self) -> int:
        return hash(self._callback)
