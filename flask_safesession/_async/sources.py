"""Where async sessions come from: Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, or a plain ``async_sessionmaker``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

from flask import appcontext_pushed
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as BoundSession
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from .. import errors
from .._core.forks import after_fork_in_child
from .._core.guard import guard_factory
from .._core.ledger import Rules
from .._core.places import outside
from .._core.runners import running_loop
from .._sources import is_async_factory
from .._state import EXTENSION, AppState
from .._unit import current_rules, find_unit
from .engines import adopt_engine, make_engines

__all__ = ["async_factory", "async_source", "guard_async_factory", "wire_async_source"]

Factory = async_sessionmaker[AsyncSession]
Engines = Mapping[str, AsyncEngine]

_DEFAULT = "default"


class Source:
    """The async sessions of one app.

    Attributes:
        origin: What it was made of; of another one it is made anew.
        factory: Makes the sessions, guarded.
        outer: The engines by name.
    """

    def __init__(self, origin: Any, factory: Factory, engines: Engines) -> None:
        self.origin = origin
        self.factory = factory
        self._engines = {name: each.sync_engine for name, each in engines.items()}
        self.outer = engines

    def engines(self) -> Mapping[str, Engine]:
        """The engines by name, as SQLAlchemy's synchronous part knows them."""
        return self._engines


def async_factory(state: AppState) -> Factory:
    """The guarded factory of the app's async sessions, with connections of the running event loop.

    It is called inside a context of the app.

    Raises:
        RuntimeError: If no event loop runs here.
        NoAppError: If the app has no async sessions.
        ValueError: If no async engine can be made of the app's settings.
    """
    if running_loop() is None:
        raise RuntimeError(
            f"{outside().place} needs an async session, and no event loop runs here. Call it in a coroutine, such as "
            "an 'async def' view or one that 'asyncio.run()' runs; elsewhere write 'with session_manager():'."
        )
    return async_source(state).factory


def async_source(state: AppState) -> Source:
    """Where the app's async sessions come from, made when it is first asked for.

    Raises:
        NoAppError, ValueError: As :func:`async_factory` does.
    """
    given = state.app.extensions[EXTENSION].async_factory
    origin = state.source.db if given is None else given
    with _locks.making:
        found = state.asynchronous
        if found is None or found.origin is not origin:
            found = state.asynchronous = _make(state, origin)
            for each in state.watchers:
                each(found.engines().values())
    return cast(Source, found)


def wire_async_source(state: AppState) -> None:
    """Wire the app's async engines before anybody can use one: Flask-SQLAlchemy-Lite needs a context for that.

    Raises:
        ValueError: If the app was given a factory whose engine has one connection for all event loops.
    """
    app = state.app
    if app.extensions[EXTENSION].async_factory is not None:
        async_source(state)
        return

    def pushed(*_: Any, **__: Any) -> None:
        try:
            async_source(state)
        except errors.NoAppError:
            return  # the database is not set up yet
        except ValueError:
            pass  # it is said where a scope asks for a session
        appcontext_pushed.disconnect(pushed, app)

    appcontext_pushed.connect(pushed, app, weak=False)


class _Locks:
    """One that is free in a forked child, too."""

    def __init__(self) -> None:
        self.making = threading.RLock()


_locks = _Locks()
after_fork_in_child(_locks.__init__)  # type: ignore[misc]


def _make(state: AppState, origin: Any) -> Source:
    given = state.settings.async_engines
    engines: Engines
    if isinstance(origin, SQLAlchemy):
        made = make_engines(origin, state.app, given)
        engines = {key or _DEFAULT: each for key, each in made.items()}
        factory = _bound_factory(origin, made)
    elif given:
        raise ValueError(
            "'SAFESESSION_ASYNC_ENGINES' is for Flask-SQLAlchemy, which has no async engines of its own, and the app "
            f"has its sessions from {origin!r}. Give it an async factory: 'safe.include(async_sessionmaker(engine))'."
        )
    else:
        factory, engines = _plain_factory(state, origin)
    for engine in engines.values():
        adopt_engine(engine, state)
    return Source(origin, factory, engines)


def _plain_factory(state: AppState, origin: Any) -> tuple[Factory, Engines]:
    if is_async_factory(origin):
        factory, engines = origin, _engines_of(origin)
    elif getattr(origin, "async_engines", None):
        factory, engines = origin.async_sessionmaker, origin.async_engines
        factory.kw["binds"] = _waiting_binds(origin, factory)
    else:
        raise errors.NoAppError(
            f"{outside().place} needs an async session, and the app '{state.app.name}' has blocking ones only. Give it "
            "an async factory with 'safe.include(async_sessionmaker(engine))', with Flask-SQLAlchemy-Lite "
            "'SQLALCHEMY_ASYNC_ENGINES'; or write 'with session_manager():' where no event loop runs."
        )
    guard_async_factory(factory)
    return factory, engines


def _waiting_binds(lite: Any, factory: Factory) -> dict[Any, Any]:
    """The binds of *factory*: Flask-SQLAlchemy-Lite 0.2.1 looks names up once, and gives it engines that block."""
    names = {engine: name for name, engine in lite.engines.items()}
    binds = factory.kw.get("binds") or {}
    return {key: lite.async_engines.get(names.get(each), each) for key, each in binds.items()}


def _engines_of(factory: Factory) -> Engines:
    bind = factory.kw.get("bind")
    named = {_DEFAULT: bind} if isinstance(bind, AsyncEngine) else {}
    others = dict.fromkeys((factory.kw.get("binds") or {}).values())
    return named | {
        str(each.url): each for each in others if isinstance(each, AsyncEngine) and each is not bind
    }


def guard_async_factory(factory: async_sessionmaker[Any]) -> None:
    """Let *factory* make sessions whose synchronous part is guarded."""
    stock = factory.kw.get("sync_session_class") or factory.class_.sync_session_class
    guarded = sessionmaker(class_=stock)
    guard_factory(guarded, _async_rules)
    factory.kw["sync_session_class"] = guarded.class_


def _async_rules() -> Rules:
    """The rules for an async session that has engines of its own."""
    unit = find_unit()
    return Rules() if unit is None else unit.state.async_rules


class Routed:
    """Flask-SQLAlchemy with other engines, for its session, which asks it for them by the name of a bind."""

    def __init__(self, db: SQLAlchemy, engines: Mapping[str | None, AsyncEngine]) -> None:
        self._db = db
        self.engines = {key: each.sync_engine for key, each in engines.items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def _bound_factory(db: SQLAlchemy, engines: Mapping[str | None, AsyncEngine]) -> Factory:
    """Sessions as those of *db*, also of a class of the app's own, that reach *engines*."""
    stock = getattr(db.session, "session_factory", None)  # a test kit may have put a session there
    if not isinstance(stock, sessionmaker):
        stock = sessionmaker(class_=BoundSession)
    guard_factory(stock, current_rules)
    options = {**stock.kw, "db": Routed(db, engines), "expire_on_commit": False}
    return async_sessionmaker(sync_session_class=stock.class_, **options)
