"""What is done with all views of an app: ``SAFESESSION_TRANSACTIONAL_VIEWS``, and a look at their decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Flask, request

from ._core.hooks import hook_name
from ._core.options import DEFAULT
from ._functions import check_plain_function, is_coroutine_function
from ._transaction import make_transactional
from ._views import decorated_at, has_mark, layers_of_view

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
    """Wrap each view of *app* when it is first asked for: blueprints register later than extensions."""
    done: dict[str, View] = {}

    def wrap_view() -> None:
        endpoint = request.endpoint or ""
        view = app.view_functions.get(endpoint)
        if view is not None and view is not done.get(endpoint):
            done[endpoint] = app.view_functions[endpoint] = _scoped(view)

    app.before_request(wrap_view)


def _scoped(view: View) -> View:
    """*view* in a scope; of a class, but for the methods that decide for themselves."""
    if not hasattr(view, "view_class"):
        return view if has_mark(view, request.method) else _transactional(view)
    scoped = _transactional(view)

    @functools.wraps(scoped)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        if has_mark(view, request.method):
            return view(*args, **kwargs)
        _refuse_coroutines(view)
        return scoped(*args, **kwargs)

    return chosen


def _refuse_coroutines(view: View) -> None:
    """Flask runs the ``async def`` methods of a class inside its view function, which is a plain one."""
    for layer in layers_of_view(view, request.method):
        if is_coroutine_function(layer):
            raise TypeError(
                f"'SAFESESSION_TRANSACTIONAL_VIEWS' could not put a scope around '{hook_name(layer)}', which is a "
                "coroutine function and a method. Put '@transactional' or '@non_transactional' on it."
            )


def _transactional(view: View) -> View:
    try:
        check_plain_function(view, "@transactional", coroutines=True)
    except TypeError as error:
        raise TypeError(
            f"'SAFESESSION_TRANSACTIONAL_VIEWS' could not put a scope around a view: {error} "
            "Or exempt the view with '@non_transactional'."
        ) from None
    return make_transactional(view, DEFAULT)
