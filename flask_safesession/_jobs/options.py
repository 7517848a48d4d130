"""The checked options of jobs: in which app they run, and what they take along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from flask import Flask, current_app, g, has_app_context
from werkzeug.local import LocalProxy

from .. import errors
from .._core.places import outside
from .arguments import Instances

__all__ = ["JobOptions", "make_job_options"]

_INSTANCES = get_args(Instances)


@dataclass(frozen=True)
class JobOptions:
    """The checked arguments of :class:`AppContextManager`."""

    app: Flask | None = None
    propagate_g: tuple[str, ...] = ()
    instances: Instances = "raise"
    transactional: bool = False

    def find_app(self) -> Flask:
        """The given app, else that of the current context.

        Raises:
            NoAppError: If there is neither.
        """
        return _current_app() if self.app is None else self.app

    def values(self) -> dict[str, Any]:
        """What ``g`` has now of the names that are propagated."""
        if not self.propagate_g or not has_app_context():
            return {}
        return {name: getattr(g, name) for name in self.propagate_g if name in g}


def make_job_options(app: Any, propagate_g: Any, instances: Any, transactional: Any) -> JobOptions:
    """Check the arguments of :class:`AppContextManager`.

    Raises:
        TypeError: If *app* is no Flask app, or another argument is of the wrong kind.
        ValueError: If *instances* is unknown, or a name of *propagate_g* begins with an underscore.
        NoAppError: If *app* is a ``current_app`` that stands for none.
    """
    if type(app) is LocalProxy:
        app = _current_app()  # the proxy means nothing in the thread that may enter this
    if app is not None and not isinstance(app, Flask):
        raise TypeError(
            f"'app' is {app!r}. Give the Flask application, or nothing to take 'current_app'."
        )
    if instances not in _INSTANCES:
        raise ValueError(f"'instances' is {instances!r}. Set it to one of 'raise', 'reload'.")
    if not isinstance(transactional, bool):
        raise TypeError(f"'transactional' is {transactional!r}. Set it to True or False.")
    return JobOptions(app, _names(propagate_g), instances, transactional)


def _names(value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    names = tuple(value) if is_list else ()
    if not is_list or not all(isinstance(name, str) and name for name in names):
        raise TypeError(
            f"'propagate_g' is {value!r}. Give a tuple of names, such as 'propagate_g=(\"user_id\",)'."
        )
    for name in names:
        if name.startswith("_"):
            raise ValueError(
                f"'propagate_g' names '{name}'. What begins with an underscore belongs to an extension and to its "
                "context; copy the value that the job needs into a name of your own."
            )
    return names


def _current_app() -> Flask:
    if not current_app:
        raise errors.NoAppError(
            f"{outside().place} used an AppContextManager without an app, outside of any application context. "
            "Give it the app: 'AppContextManager(app)', in a thread the Flask object and not 'current_app'."
        )
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app
