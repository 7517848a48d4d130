"""The contexts of a job: its own context variables, and a new application context with its own session."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any

import flask.globals
from flask import Flask, has_request_context
from flask.ctx import AppContext
from flask.globals import app_ctx

from .. import errors
from .._core.hooks import hook_name
from .._core.places import Caller, function_place, outside
from .._proxies import app_context

__all__ = [
    "context_maker",
    "copy_variables",
    "end_context",
    "has_left_contexts",
    "innermost_context",
    "leave_contexts",
]

# What belongs to the submitter: its app and request contexts, and the transaction that it is in.
_REQUEST = "flask.request_ctx"
_LEFT_BEHIND = ("flask.app_ctx", _REQUEST, "flask_safesession.")

_context: contextvars.ContextVar[AppContext] = app_context


def copy_variables(*, request: bool = False) -> contextvars.Context:
    """The context variables of the caller, such as trace ids, in a context of their own; not those of Flask.

    Args:
        request: Keep the request readable, where it is not a part of the application context (Flask 3.1).
    """
    there, context = contextvars.copy_context(), contextvars.Context()
    travelling = [
        (variable, value)
        for variable, value in there.items()
        if (request and variable.name == _REQUEST) or not variable.name.startswith(_LEFT_BEHIND)
    ]
    if travelling:
        context.run(_set_all, travelling)
    return context


def context_maker(app: Flask) -> Callable[[], AppContext]:
    """What makes a context of *app*; the caller's request goes along where it is a part of it (Flask 3.2)."""
    context: Any = innermost_context()
    return context.copy if getattr(context, "has_request", False) else app.app_context


def _set_all(values: list[tuple[contextvars.ContextVar[Any], Any]]) -> None:
    for variable, value in values:
        variable.set(value)


def innermost_context() -> AppContext | None:
    """The application context that is on top, if any."""
    return _context.get(None)


def end_context(
    context: AppContext, fn: Callable[..., object], error: BaseException | None
) -> None:
    """Pop the application context of a job, and what *fn* left on it; *error* is what came out of *fn*."""
    if not has_left_contexts(context):
        context.pop(error)
        return
    try:
        leave_contexts(*_described(fn), until=context)
    finally:
        if innermost_context() is context:
            context.pop(error)


def has_left_contexts(until: AppContext | None = None) -> bool:
    """Whether something lies on *until*, which has no request."""
    return _context.get(None) is not until or has_request_context()


def leave_contexts(who: str, at: Caller, until: AppContext | None = None) -> None:
    """Pop the contexts on top of *until* that *who* pushed, and warn once, at the line *at*.

    Raises:
        StaleContextError: If *until* is not there any more.
    """
    left = 0
    while innermost_context() is not None and has_left_contexts(until):
        _top().pop()
        left += 1
    if innermost_context() is not until:
        raise errors.StaleContextError(
            f"{who} popped the application context that it was given. Pop only what was pushed there."
        )
    at.warn(
        f"{who} left {left} context(s) pushed; they were popped and their sessions rolled back. Push contexts "
        "with 'with app.app_context():'.",
        errors.StaleContextWarning,
    )


def _described(fn: Callable[..., object]) -> tuple[str, Caller]:
    function: Any = inspect.unwrap(fn)
    if not inspect.isfunction(function):
        return f"'{hook_name(fn)}'", outside()
    place = function_place(function.__code__)
    return str(place), Caller(place, function.__globals__, "")


def _top() -> Any:
    """The context to pop first; up to Flask 3.1 a request context lies on its application context."""
    proxy: Any = app_ctx
    if has_request_context():
        proxy = vars(flask.globals).get("request_ctx", app_ctx)
    return proxy._get_current_object()
