"""What is done with all views of an app: ``SAFESESSION_TRANSACTIONAL_VIEWS``, and a look at their decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import MethodType
from typing import Any

from flask import Flask, current_app, has_request_context, request

from ._core.options import DEFAULT
from ._functions import check_plain_function, is_coroutine_function
from ._sources import is_async_factory
from ._state import STATE, AppState
from ._transaction import make_transactional
from ._views import awaited_methods, decorated_at, has_mark, mark_standing_for

__all__ = ["check_views", "wire_views"]

View = Callable[..., Any]


def check_views(app: Flask) -> None:
    """Refuse the views of *app* that Flask was given before ``@transactional`` was put on them.

    At the first request, when all blueprints are there; an app without such a view is asked just once.
    """

    def check() -> None:
        misplaced = {name: decorated_at(view) for name, view in app.view_functions.items()}
        place = misplaced.get(request.endpoint or "")
        if place is not None:
            raise TypeError(
                f"Flask calls the view '{request.endpoint}' without its '@transactional' ({place.where}), which stands "
                "above the route: it was given the function before that. Put '@transactional' below the route."
            )
        if not any(misplaced.values()):
            functions = app.before_request_funcs[None]
            app.before_request_funcs[None] = [each for each in functions if each is not check]

    app.before_request(check)


def wire_views(app: Flask) -> None:
    """Wrap each view of *app* when it is first asked for: blueprints register later than extensions.

    The view of a class is a plain function, which waits for coroutine functions among the methods: these are wrapped
    one by one, where Flask makes plain functions of them.
    """
    done: dict[str, View] = {}
    stock, scoped = app.ensure_sync, functools.cache(_transactional)

    def wrap_view() -> None:
        endpoint = request.endpoint or ""
        view = app.view_functions.get(endpoint)
        if view is not None and view is not done.get(endpoint):
            done[endpoint] = app.view_functions[endpoint] = _scoped(view)

    def ensure_sync(func: View) -> View:
        if inspect.ismethod(func) and _waits_for(func.__func__):
            func = MethodType(scoped(func.__func__), func.__self__)
        return stock(func)

    app.before_request(wrap_view)
    app.ensure_sync = ensure_sync  # type: ignore[method-assign]


def _waits_for(fn: View) -> bool:
    """Whether *fn* is a coroutine function of the class that answers the request, and does not decide for itself."""
    if not has_request_context():
        return False
    view, method = current_app.view_functions.get(request.endpoint or ""), request.method
    return view is not None and fn in awaited_methods(view, method) and not has_mark(view, method)


def _scoped(view: View) -> View:
    """*view* in a scope; of a class, but for the methods that decide for themselves or are awaited."""
    is_class = hasattr(view, "view_class")
    if not is_class and has_mark(view, request.method):
        return view
    scoped = _transactional(view)
    if not is_coroutine_function(view) and not _has_blocking_sessions():
        return view
    if not is_class:
        return scoped

    @functools.wraps(view)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        is_left = has_mark(view, request.method) or awaited_methods(view, request.method)
        return (view if is_left else scoped)(*args, **kwargs)

    return chosen


def _has_blocking_sessions() -> bool:
    """Whether a plain function can have a scope: one in an app with async sessions only could use none."""
    state: AppState = current_app.extensions[STATE]
    return not is_async_factory(state.source.db)


def _transactional(view: View) -> View:
    try:
        check_plain_function(view, "@transactional", coroutines=True)
    except TypeError as error:
        raise TypeError(
            f"'SAFESESSION_TRANSACTIONAL_VIEWS' could not put a scope around a view: {error} "
            "Or exempt the view with '@non_transactional'."
        ) from None
    wrapper = make_transactional(view, DEFAULT)
    mark_standing_for(wrapper, view)
    return wrapper
