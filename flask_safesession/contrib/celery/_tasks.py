"""Task classes, whatever their base: what is wrapped around the methods of the user."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

from celery import Task
from celery.exceptions import Ignore

from flask_safesession import transactional

from ._room import callers_context, in_new_context, room_of
from ._sending import SafeTask, refuse_bound

__all__ = ["equip", "equip_retries"]

_WRAPPED: Final = "_safesession_wrapped"
_ENTERED: Final = "_safesession_entered"

_HANDLERS: Final = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


def equip(cls: Any) -> None:
    """Add the methods of ``SafeTask`` and wrap those of the user; a second time changes nothing."""
    for name, value in vars(SafeTask).items():
        if not name.startswith("_") and not hasattr(cls, name):
            setattr(cls, name, value)
    if not isinstance(cls.transactional, bool | None):
        raise TypeError(
            f"'transactional' of the Celery task '{cls.name}' is {cls.transactional!r}. Set it to True, False or None."
        )
    _wrap(cls, "run", _body)
    _wrap(cls, "apply_async", _sending)
    if cls.on_replace is Task.on_replace:
        _wrap(cls, "on_replace", _replacing)
    _wrap(cls, "__call__", _entrance)
    for name in _HANDLERS:
        if getattr(cls, name) is not getattr(Task, name):
            _wrap(cls, name, _handler)


def _wrap(cls: Any, name: str, wrap: Callable[[Any, Any], Any]) -> None:
    found = inspect.getattr_static(cls, name)
    if not hasattr(getattr(found, "__func__", found), _WRAPPED):
        setattr(cls, name, wrap(cls, found))


def _wraps(fn: Any) -> Callable[[Any], Any]:
    def mark(wrapper: Any) -> Any:
        setattr(wrapper, _WRAPPED, True)
        return functools.update_wrapper(wrapper, fn)

    return mark


def _entrance(_: Any, found: Any) -> Any:
    """``__call__``, by which a worker runs a task and anybody calls it."""
    is_stock = found is inspect.getattr_static(Task, "__call__")

    @_wraps(found)
    def enter(task: Any, /, *args: Any, **kwargs: Any) -> Any:
        request = task.request
        if request.called_directly or _ENTERED in vars(request):
            # Looked up now: a worker puts another function into the place of Celery's own.
            call = (Task.__call__ if is_stock else found).__get__(task)
            with callers_context(task):
                return call(*args, **kwargs)
        vars(request)[_ENTERED] = True
        body = task.run if is_stock else found.__get__(task)
        return in_new_context(task, body)(*args, **kwargs)

    return enter


def _sending(_: Any, found: Any) -> Any:
    """``apply_async``, by which each message of a task is sent, also as a part of a chain, a group or a chord."""

    @_wraps(found)
    def apply_async(
        task: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
    ) -> Any:
        refuse_bound(task, args or (), kwargs or {}, options)
        return found.__get__(task)(args, kwargs, *more, **options)

    return apply_async


def _handler(_: Any, found: Any) -> Any:
    @_wraps(found)
    def handler(task: Any, /, *args: Any, **kwargs: Any) -> Any:
        return in_new_context(task, found.__get__(task, type(task)))(*args, **kwargs)

    return handler


def _body(cls: Any, found: Any) -> Any:
    """``run``, in a scope where that is asked for."""
    if isinstance(found, staticmethod):
        return staticmethod(_scoped(cls.name, found.__func__, lambda _: cls))
    return _scoped(cls.name, found, lambda args: type(args[0]))


def _scoped(name: str, fn: Any, find_class: Callable[[Any], Any]) -> Any:
    _check_body(name, fn)
    scoped = transactional(commit_on=_Replaced)(fn)

    @_wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        cls = find_class(args)
        if not _is_transactional(cls):
            return fn(*args, **kwargs)
        try:
            return scoped(*args, **kwargs)
        except _Replaced as replaced:
            replaced.send()
            raise

    return run


def equip_retries(task: Any) -> None:
    """Celery has put ``autoretry_for`` around the body of a task that was made earlier, and keeps the body here."""
    body = vars(task).get("_orig_run")
    if body is not None and not hasattr(body, _WRAPPED):
        vars(task)["_orig_run"] = _scoped(task.name, body, lambda _: type(task))


def _check_body(name: str, fn: Any) -> None:
    kinds = {
        "a coroutine function": inspect.iscoroutinefunction,
        "a generator function": inspect.isgeneratorfunction,
        "an asynchronous generator function": inspect.isasyncgenfunction,
    }
    for kind, is_kind in kinds.items():
        if is_kind(fn):
            raise TypeError(
                f"The Celery task '{name}' is {kind}: its body would run after the task has succeeded, or never. Make "
                "it a plain function ('def'), which calls 'asyncio.run()' for what has to be awaited."
            )


def _is_transactional(cls: Any) -> bool:
    if cls.transactional is not None:
        return bool(cls.transactional)
    room = room_of(cls)
    return room is not None and room.is_transactional()


class _Replaced(Ignore):  # type: ignore[misc] # Celery ships no types
    """The end of a body that gave its task to another: no error, so the transaction commits, and then it is sent."""

    def __init__(self, send: Callable[[], object]) -> None:
        super().__init__("Replaced by new task")
        self.send = send


def _replacing(_: Any, found: Any) -> Any:
    """``on_replace``: Celery sends the new task before the transaction of the old one ends, and ends it by Ignore."""

    @_wraps(found)
    def on_replace(task: Any, sig: Any) -> Any:
        if task.request.is_eager or not _is_transactional(type(task)):
            return found(task, sig)
        raise _Replaced(sig.delay)

    return on_replace
