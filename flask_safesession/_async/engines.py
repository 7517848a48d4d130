"""The async engines of Flask-SQLAlchemy, which has none of its own: made of its settings, or of the app's word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, async_engine_from_config
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from .._config import EngineGiven
from .._core.circuit import break_circuit
from .._core.dialects import wire_engine
from .._core.engine_defaults import PLUGIN
from .._core.forks import is_in_memory
from .._core.holding import watch_pool
from .._state import AppState
from .drivers import find_driver, translate
from .loops import divide_by_loops

__all__ = ["adopt_engine", "make_engines"]

Options = dict[str, Any]

# What opens a blocking connection, however it is called.
_BLOCKING = ("creator", "module", "pool")


def make_engines(
    db: SQLAlchemy, app: Flask, given: Mapping[str | None, EngineGiven]
) -> dict[str | None, AsyncEngine]:
    """An async engine for each of *db*, under the same name.

    Args:
        db: Flask-SQLAlchemy.
        app: Its app, whose context is active.
        given: ``SAFESESSION_ASYNC_ENGINES``.

    Raises:
        ValueError: If one cannot be made of what the app says.
    """
    for key in given.keys() - db.engines.keys():
        raise ValueError(
            f"'SAFESESSION_ASYNC_ENGINES' names {key!r}, which is no database of the app. Its databases are "
            f"{', '.join(map(repr, db.engines))}, where None is that of 'SQLALCHEMY_DATABASE_URI'."
        )
    return {
        key: _make(engine, _options_of(db, app, key), given.get(key, {}))
        for key, engine in db.engines.items()
    }


def _options_of(db: SQLAlchemy, app: Flask, key: str | None) -> Options:
    """The options that the blocking engine was made with; see ``SQLAlchemy.init_app`` of Flask-SQLAlchemy."""
    echo = app.config.get("SQLALCHEMY_ECHO", False)
    own: Any = (app.config.get("SQLALCHEMY_BINDS") or {}).get(key, {})
    options = {"echo": echo, "echo_pool": echo, **db._engine_options}  # noqa: SLF001 - known to nobody else
    options.update(own if isinstance(own, Mapping) else {})
    if key is None:
        options.update(app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {})
    return options


def _make(engine: Engine, options: Options, given: EngineGiven) -> AsyncEngine:
    asked: Options = dict(given) if isinstance(given, Mapping) else {"url": given}
    if "url" not in asked:
        asked = _derive(engine, options, asked)
    asked["plugins"] = list(dict.fromkeys([*asked.get("plugins", ()), PLUGIN]))
    url = make_url(asked["url"])
    try:
        return async_engine_from_config({**asked, "url": url}, prefix="")
    except InvalidRequestError as error:
        raise ValueError(_not_async(url)) from error
    except (ArgumentError, TypeError) as error:
        raise ValueError(
            f"No async engine can be made for '{url}': {error}. Give the options that it takes: "
            '\'SAFESESSION_ASYNC_ENGINES = {None: {"url": "…", …}}\'.'
        ) from error


def _derive(engine: Engine, options: Options, asked: Options) -> Options:
    """The options of the async twin of *engine*, of which some are *asked* for otherwise."""
    url = engine.url
    if is_in_memory(engine):
        raise ValueError(
            f"'{url}' is a SQLite database in memory, which only the connection that made it can see: an async one "
            "would find it empty. Use a file, such as 'sqlite:///test.db'."
        )
    for name in _BLOCKING:
        if name in options and name not in asked:
            raise ValueError(
                f"'{url}' is reached with '{name}', which opens connections that block. Say how async ones are opened: "
                "'SAFESESSION_ASYNC_ENGINES = {None: \"<dialect>+<async driver>://…\"}'."
            )
    driver = find_driver(engine.dialect.driver, url)
    # What is asked for is in the words of the async driver.
    theirs = {} if "connect_args" in asked else options.get("connect_args") or {}
    url, arguments = translate(driver, url, theirs)
    arguments.update(asked.get("connect_args", {}))
    derived = {**options, **asked, "url": url, "connect_args": arguments}
    if derived.get("poolclass", QueuePool) is QueuePool:
        derived["poolclass"] = (
            AsyncAdaptedQueuePool  # also for files of SQLite, where SQLAlchemy 2.0.36 takes none
        )
    return derived


def _not_async(url: URL) -> str:
    return (
        f"'SAFESESSION_ASYNC_ENGINES' names '{url}', whose driver blocks. Name one that does not, such as "
        "'postgresql+asyncpg', 'postgresql+psycopg', 'sqlite+aiosqlite', 'mysql+asyncmy' or 'mysql+aiomysql'."
    )


def adopt_engine(engine: AsyncEngine, state: AppState) -> None:
    """Wire *engine* as those of the app are, with connections for each event loop.

    Raises:
        ValueError: If the engine has one connection for all.
    """
    inner = engine.sync_engine
    divide_by_loops(inner)
    wire_engine(inner, state.rules)
    break_circuit(inner, state.settings.circuit_seconds)
    watch_pool(inner, state.rules)
