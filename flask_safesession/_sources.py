"""Where sessions come from: Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, a plain sessionmaker or scoped_session."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from flask import Flask, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.util import ScopedRegistry

from . import errors
from ._core.forks import after_fork_in_child
from ._core.guard import guard_factory, guard_session
from ._core.places import outside
from ._state import Registry, SessionSource
from ._unit import ContextRegistry, current_rules, find_unit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import async_sessionmaker

__all__ = ["guard_scoped", "is_async_factory", "source_finder"]

_DEFAULT = "default"

_guarded: weakref.WeakSet[scoped_session[Any]] = weakref.WeakSet()


def source_finder(db: Any) -> Callable[[Flask], SessionSource]:
    """How to find the sessions of an app.

    Args:
        db: What the user gave; None stands for the Flask-SQLAlchemy instance that is registered with the app.

    Raises:
        TypeError: If *db* is nothing that sessions can come from.
    """
    if db is None:
        return _Registered().find
    source = _source(db)
    return lambda app: source


class _Registered:
    """The Flask-SQLAlchemy that is registered with an app now; a second ``init_app`` may have replaced it."""

    def __init__(self) -> None:
        self._db: Any = None
        self._found: SessionSource | None = None

    def find(self, app: Flask) -> SessionSource:
        db = app.extensions.get("sqlalchemy")
        if db is None:
            raise errors.NoAppError(
                f"The app '{app.name}' has no database: neither was a 'db' given to SafeSession, nor is there a "
                "Flask-SQLAlchemy. Call 'db.init_app(app)', or 'safe.init_app(app, db)' with your session factory."
            )
        if self._found is None or db is not self._db:
            self._db, self._found = db, _source(db)
        return self._found


def _source(db: Any) -> SessionSource:
    if isinstance(db, SQLAlchemy):
        return _FlaskSQLAlchemy(db)
    if isinstance(db, scoped_session):
        return _Scoped(db)
    if isinstance(db, sessionmaker):
        return _Plain(db)
    if is_async_factory(db):
        return _Asynchronous(db)
    if hasattr(db, "get_session") and hasattr(type(db), "sessionmaker"):
        return _lite(db)
    raise TypeError(
        f"'db' is {db!r}, which gives no sessions. Give Flask-SQLAlchemy's or Flask-SQLAlchemy-Lite's 'SQLAlchemy', "
        "a 'sessionmaker', a 'scoped_session' or an 'async_sessionmaker'."
    )


class _FlaskSQLAlchemy:
    """``db.session`` of Flask-SQLAlchemy, whatever it is when it is asked for."""

    def __init__(self, db: SQLAlchemy) -> None:
        self.db = db
        self._wired: Any = None
        self.registry()

    def registry(self) -> Registry:
        scoped = self.db.session
        if scoped is not self._wired:
            self._wire(scoped)
            self._wired = scoped
        return self._registry

    def _wire(self, scoped: Any) -> None:
        if isinstance(scoped, Session):
            self._registry: Registry = _Single(self.db)
            return
        guard_scoped(scoped, replace=_follows_app_context(scoped), needs_context=True)
        self._registry = scoped.registry

    def engines(self) -> Mapping[str, Engine]:
        if not has_app_context():
            return {}
        return {key or _DEFAULT: engine for key, engine in self.db.engines.items()}


class _Single(ScopedRegistry[Session]):
    """A plain session that a test kit has put in the place of ``db.session``."""

    def __init__(self, db: SQLAlchemy) -> None:
        self._db: Any = db
        self.createfunc = self._another
        guard_session(db.session, current_rules)  # type: ignore[arg-type]

    def __call__(self) -> Session:
        session: Session = self._db.session
        return session

    def _another(self) -> Session:
        """Another session like it."""
        return sessionmaker(self().bind, class_=type(self()))()

    def set(self, obj: Session) -> None:
        self._db.session = obj


class _Scoped:
    """A plain ``scoped_session``: the session of the app context, or of the thread where there is none."""

    def __init__(self, scoped: scoped_session[Any]) -> None:
        self.db = self._scoped = scoped
        guard_scoped(scoped, replace=True)

    def registry(self) -> Registry:
        return self._scoped.registry

    def engines(self) -> Mapping[str, Engine]:
        factory = self._scoped.session_factory
        return _factory_engines(factory) if isinstance(factory, sessionmaker) else {}


class _Plain:
    """A ``sessionmaker``: scopes get a session of the app context; ``SessionLocal()`` makes others as ever."""

    def __init__(self, factory: sessionmaker[Any]) -> None:
        self.db = self._factory = factory
        guard_factory(factory, current_rules)
        self._registry = ContextRegistry(factory)

    def registry(self) -> Registry:
        return self._registry

    def engines(self) -> Mapping[str, Engine]:
        return _factory_engines(self._factory)


class _Asynchronous:
    """An ``async_sessionmaker``: there is no synchronous session."""

    def __init__(self, factory: Any) -> None:
        self.db = self.factory = factory
        self._registry = ContextRegistry(_no_session)

    def registry(self) -> Registry:
        return self._registry

    def engines(self) -> Mapping[str, Engine]:
        return {}


def _no_session() -> Session:
    raise errors.NoAppError(
        f"{outside().place} needs a synchronous session, and the app has an 'async_sessionmaker' only. Write 'async "
        "with session_manager():' in a coroutine, or give SafeSession a 'sessionmaker' too."
    )


def is_async_factory(db: object) -> TypeGuard[async_sessionmaker[Any]]:
    """Whether *db* is an ``async_sessionmaker``, whose module is there if so."""
    module: Any = sys.modules.get("sqlalchemy.ext.asyncio")
    return module is not None and isinstance(db, module.async_sessionmaker)


class _Lite:
    """Flask-SQLAlchemy-Lite: each name of ``get_session()`` is a session of the app context."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self._stock: Callable[[str], Session] = type(db).get_session.__get__(db)
        self._registries: dict[str, ContextRegistry] = {}
        db.get_session = self.get_session

    def registry(self) -> Registry:
        return self._named(_DEFAULT)

    def engines(self) -> Mapping[str, Engine]:
        engines: Mapping[str, Engine] = self.db.engines if has_app_context() else {}
        return engines

    def get_session(self, name: str = _DEFAULT) -> Session:
        return self._stock(name) if find_unit() is None else self._named(name)()

    def _named(self, name: str) -> ContextRegistry:
        if name not in self._registries:
            self._registries[name] = ContextRegistry(self._create)
        return self._registries[name]

    def _create(self) -> Session:
        factory: sessionmaker[Session] = self.db.sessionmaker
        guard_factory(factory, current_rules)
        return factory()


def _lite(db: Any) -> _Lite:
    """The source of *db*, which several apps may share."""
    source = getattr(vars(db).get("get_session"), "__self__", None)
    return source if isinstance(source, _Lite) else _Lite(db)


def guard_scoped(
    scoped: scoped_session[Any], *, replace: bool, needs_context: bool = False
) -> None:
    """Guard the sessions of *scoped*.

    Args:
        scoped: The registry of sessions.
        replace: Make the sessions belong to the app context.
        needs_context: There is no session without an app context.
    """
    factory = scoped.session_factory
    if isinstance(factory, sessionmaker):
        guard_factory(factory, current_rules)
    _guarded.add(scoped)
    if replace and not isinstance(scoped.registry, ContextRegistry):
        scoped.registry = ContextRegistry(factory, scoped.registry, needs_context=needs_context)


def _follows_app_context(scoped: scoped_session[Any]) -> bool:
    """Whether this is Flask-SQLAlchemy's own: a user's ``scopefunc`` and a test kit's session keep their rule."""
    scope_function = getattr(scoped.registry, "scopefunc", None)
    return getattr(scope_function, "__module__", "").startswith("flask_sqlalchemy")


def _forget_all() -> None:
    """In a forked child no session of the parent is anybody's current one."""
    for scoped in _guarded:
        registry = scoped.registry
        stock: Any = registry.fallback if isinstance(registry, ContextRegistry) else registry
        stock.registry = type(stock.registry)()


after_fork_in_child(_forget_all)


def _factory_engines(factory: sessionmaker[Any]) -> Mapping[str, Engine]:
    bind = factory.kw.get("bind")
    named = {_DEFAULT: bind} if isinstance(bind, Engine) else {}
    others = {each for each in (factory.kw.get("binds") or {}).values() if isinstance(each, Engine)}
    return named | {each.url.render_as_string(): each for each in others if each is not bind}
