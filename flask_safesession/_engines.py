"""The engines of an app: good defaults for those that are still to be made, and who holds their connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, has_app_context
from sqlalchemy import Engine

from ._core.engine_defaults import PLUGIN
from ._core.holding import read_engine
from ._core.statistics import Statistics
from ._state import AppState

__all__ = ["engines_of", "give_defaults", "read_statistics"]

_DEFAULT = "SQLALCHEMY_ENGINE_OPTIONS"
_NAMED = ("SQLALCHEMY_BINDS", "SQLALCHEMY_ENGINES", "SQLALCHEMY_ASYNC_ENGINES")


def give_defaults(app: Flask) -> None:
    """Let the engines of *app* that are made from now on have the defaults; see :class:`EngineDefaults`.

    The app's own dicts stay as they are: they are replaced, and not changed.
    """
    app.config[_DEFAULT] = _with_plugin(app.config.get(_DEFAULT) or {})
    for key in _NAMED:
        engines = app.config.get(key) or {}
        if engines:
            app.config[key] = {
                name: _with_plugin(_as_options(each)) for name, each in engines.items()
            }


def _as_options(engine: Any) -> Mapping[str, Any]:
    return engine if isinstance(engine, Mapping) else {"url": engine}


def _with_plugin(options: Mapping[str, Any]) -> dict[str, Any]:
    return {**options, "plugins": [*options.get("plugins", ()), PLUGIN]}


def read_statistics(state: AppState) -> Statistics:
    """Read out all engines of an app."""
    engines = engines_of(state)
    return Statistics(tuple(read_engine(name, engine) for name, engine in engines.items()))


def engines_of(state: AppState) -> Mapping[str, Engine]:
    """The engines of an app by name, the default one first; some sources tell them only inside a context of the app."""
    if has_app_context():
        return state.engines()
    with state.app.app_context():
        return state.engines()
