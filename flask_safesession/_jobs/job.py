"""One job: where it was submitted it is checked, and where it runs it gets contexts of its own."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, replace
from types import CoroutineType, FunctionType, MappingProxyType
from typing import Any

from flask import Flask
from flask.ctx import AppContext

from .._core.hooks import hook_name
from .._core.options import make_options
from .._core.places import function_place, outside
from .._functions import kind_of_function, signature_of
from .._session import SessionManager
from .._unit import JOB, current_unit
from .arguments import Instances, Travel, reload
from .containers import is_plain
from .contexts import copy_variables, end_context, has_left_contexts, leave_contexts
from .options import JobOptions

__all__ = [
    "Call",
    "Claim",
    "Job",
    "PooledJob",
    "callback_job",
    "plain_job",
    "sent_arguments",
    "sent_job",
    "sent_values",
    "submitted_job",
    "take",
]


_RUNS_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


Claim = list[bool]
"""Who decides how a job ends: it itself, or a shutdown that does not wait any longer. The first to take it does."""


def take(claim: Claim) -> bool:
    """Whether nobody has decided yet."""
    try:
        return claim.pop()  # in one step, whatever the threads do
    except IndexError:
        return False


class AbandonedJobError(Exception):
    """Rolls back a job that was reported as failed while it was running; nobody sees it."""


@dataclass(slots=True)  # frozen, it would take three times as long to make
class Call:
    """What a job does, apart from where; it can be pickled if its parts can."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    values: Mapping[str, Any]
    instances: Instances
    transactional: bool

    def run(self, app: Flask, claim: Claim, *first: Any) -> Any:
        """Call the function in a new application context of *app*, with *first* before its own arguments."""
        context = app.app_context()
        setattr(context, JOB, self.fn)
        context.push()
        try:
            if self.transactional:
                with _scope(self.fn):
                    result = self._call(context, claim, first)
            else:
                result = self._call(context, claim, first)
        except BaseException as error:
            end_context(context, self.fn, error)
            raise
        end_context(context, self.fn, None)
        return result

    def _call(self, context: AppContext, claim: Claim, first: tuple[Any, ...]) -> Any:
        args, kwargs = self.args, self.kwargs
        if self.values or self.instances == "reload":
            args, kwargs = self._arrived(context)
        result = self.fn(*first, *args, **kwargs)
        if type(result) is CoroutineType:
            result.close()
            raise TypeError(
                f"'{hook_name(self.fn)}' returned a coroutine, which nobody would await in this thread. Give a "
                "function that does the work itself, or runs it with 'asyncio.run()'."
            )
        if not take(claim):
            raise AbandonedJobError
        return result

    def _arrived(self, context: AppContext) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """The arguments with their instances, and ``g`` with what it gets."""
        args, kwargs, values = self.args, self.kwargs, self.values
        if self.instances == "reload":
            sent = (args, kwargs, values)
            args, kwargs, values = reload(sent, current_unit().session(), hook_name(self.fn))
        for key, value in values.items():
            setattr(context.g, key, value)
        return args, kwargs


def _scope(fn: Callable[..., Any]) -> SessionManager:
    code = getattr(inspect.unwrap(fn), "__code__", None)
    place = outside().place if code is None else function_place(code)
    return SessionManager(make_options(name=hook_name(fn)), place)


@dataclass(slots=True)
class Job(Call):
    """A call with the app and the context variables that it runs in."""

    app: Flask
    variables: Context
    claim: Claim

    def __call__(self, *first: Any) -> Any:
        return self.variables.run(self.run, self.app, self.claim, *first)


class PooledJob(Job):
    """The job of a thread that others have used before: contexts that they left on it are popped."""

    __slots__ = ()

    def __call__(self, *first: Any) -> Any:
        if has_left_contexts():
            leave_contexts(f"The thread '{threading.current_thread().name}'", outside())
        return self.variables.run(self.run, self.app, self.claim, *first)


def plain_job(
    options: JobOptions,
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] = MappingProxyType({}),
) -> Job:
    """A job whose arguments may be anything, because they do not leave the thread."""
    values, app = options.values(), options.find_app()
    variables, claim = copy_variables(), [True]
    return Job(fn, args, kwargs, values, "raise", options.transactional, app, variables, claim)


def callback_job(options: JobOptions, fn: Callable[..., Any], app: Flask) -> Job:
    """A job that the thread of another one runs when that is done.

    Raises:
        DetachedArgumentError: If a value of ``g`` belongs to whoever registers it.
    """
    return sent_job(replace(options, app=app), fn, (), {})


def submitted_job(
    options: JobOptions,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    kind: type[Job] = Job,
) -> Job:
    """A job that runs in another thread.

    Raises:
        TypeError: If *fn* cannot be called with these arguments, or is a coroutine function.
        DetachedArgumentError: If an argument belongs to the submitter.
        NoAppError: If there is no app.
    """
    return sent_job(options, fn, *sent_arguments(options, fn, args, kwargs), kind)


def sent_arguments(
    options: JobOptions, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The arguments as the job gets them; errors as for :func:`submitted_job`."""
    if _is_plain_call(fn, args, kwargs):
        return args, kwargs
    check_call(fn, args, kwargs)
    return Travel(fn, options.instances).arguments(args, kwargs)


def sent_job(
    options: JobOptions,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    kind: type[Job] = Job,
) -> Job:
    """A job with arguments that were sent already, and what else the submitter has now."""
    values = sent_values(options, Travel(fn, options.instances)) if options.propagate_g else {}
    app, variables = options.app or options.find_app(), copy_variables()
    instances, own = options.instances, options.transactional
    return kind(fn, args, kwargs, values, instances, own, app, variables, [True])


def sent_values(options: JobOptions, travel: Travel) -> dict[str, Any]:
    """The values that ``g`` has now, on their way to a job."""
    return {
        name: travel.value(value, functools.partial("g.{}".format, name))
        for name, value in options.values().items()
    }


def check_call(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what cannot run, where it is submitted and not where it would fail.

    Raises:
        TypeError: If *fn* is not callable, a coroutine function, or does not take the arguments.
    """
    if not callable(fn):
        raise TypeError(
            f"The job is {fn!r}, which cannot be called. Give a function, not its result."
        )
    kind = kind_of_function(fn)
    if kind is not None:
        raise TypeError(
            f"'{hook_name(fn)}' is {kind}, and nobody would run its body in the context of the job. Give a plain "
            "function; one can run a coroutine to its end with 'asyncio.run()'."
        )
    _check_signature(fn, args, kwargs)


def _is_plain_call(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """The usual case, a plain function that takes so many plain values, at a tenth of the price."""
    if type(fn) is not FunctionType or kwargs or fn.__dict__:
        return False
    code, defaults = fn.__code__, fn.__defaults__ or ()
    if code.co_kwonlyargcount or code.co_flags & _RUNS_LATER:
        return False
    if not code.co_argcount - len(defaults) <= len(args) <= code.co_argcount:
        return False
    values = args + defaults
    return not values or all(map(is_plain, values))


def _check_signature(fn: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    try:
        signature = signature_of(fn)
    except (ValueError, TypeError):
        return  # a built-in function that does not tell
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{outside().place} submitted '{hook_name(fn)}{signature}' with arguments that it does not take: {error}."
        ) from None
