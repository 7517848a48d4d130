"""How a worker finds its app: nobody can hand it an object on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import click
from flask import Flask
from flask.cli import ScriptInfo

from flask_safesession.errors import NoAppError

__all__ = ["AppSource", "load_app"]

AppSource = Flask | str | Callable[..., Flask]

_VARIABLES: Final = ("SAFESESSION_APP", "FLASK_APP")


def load_app(source: AppSource | None) -> Flask:
    """The app that *source* stands for; None takes it from the environment.

    Raises:
        NoAppError: If there is none, or it cannot be imported.
    """
    source = source or next(filter(None, map(os.environ.get, _VARIABLES)), None)
    if source is None:
        raise NoAppError(
            "This RQ worker has no app. Set the environment variable 'SAFESESSION_APP' to what 'flask --app' takes, "
            "such as 'shop:create_app()', or give the app to a subclass: "
            "'class ShopWorker(AppWorker): app = \"shop:create_app()\"'."
        )
    app = source if isinstance(source, Flask) else _made(source)
    if not isinstance(app, Flask):
        raise NoAppError(
            f"The app of this RQ worker is {app!r}, which {source!r} gave. Give a Flask app, a factory that returns "
            "one, or what 'flask --app' takes."
        )
    return app


def _made(source: str | Callable[[], Flask]) -> Any:
    if callable(source):
        return source()
    try:
        return ScriptInfo(source, set_debug_flag=False).load_app()
    except click.ClickException as error:
        raise NoAppError(
            f"The app of this RQ worker, {source!r}, cannot be loaded: {error.message} Give what 'flask --app' takes, "
            "such as 'shop:create_app()', and start the worker where Python finds the module."
        ) from error
