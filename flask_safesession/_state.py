"""The state of one app: its settings, and where its sessions come from."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from sqlalchemy.util import ScopedRegistry
from werkzeug.local import LocalProxy

from . import errors
from ._config import Settings
from ._core.health import Health
from ._core.hooks import Hook
from ._core.hooks import run_hook as run_at_once
from ._core.ledger import Rules
from ._origins import describe_origin, origin_here

__all__ = ["EXTENSION", "STATE", "AppState", "Registry", "SessionSource", "real_app"]

EXTENSION = "safesession"
STATE = "safesession.state"

Registry = ScopedRegistry[Session]


class SessionSource(Protocol):
    """Where the sessions of one app come from.

    Attributes:
        db: What was given to ``SafeSession``, or is registered with the app.
    """

    db: Any

    def registry(self) -> Registry:
        """What ``db.session`` stands for now, guarded."""
        ...

    def engines(self) -> Mapping[str, Engine]:
        """The app's engines by name; the default one is ``"default"``."""
        ...


class AsyncSource(Protocol):
    """Where its async sessions come from.

    Attributes:
        origin: What it was made of.
    """

    origin: Any

    def engines(self) -> Mapping[str, Engine]:
        """The engines by name, as SQLAlchemy's synchronous part knows them."""
        ...


class AppState:
    """What ``init_app`` made for one app.

    Attributes:
        settings: The settings of the app.
        rules: The same for its sessions.
        async_rules: The same for async sessions that have engines of their own.
        registry: What ``db.session`` stands for now, guarded.
        run_hook: Runs the hooks of its sessions; tests put something else there.
        asynchronous: Where its async sessions come from, when one was asked for.
        watchers: Who wants to know the async engines when they are made, before anybody uses them.
    """

    def __init__(
        self, app: Flask, settings: Settings, find_source: Callable[[Flask], SessionSource]
    ) -> None:
        self._app = weakref.ref(app)  # the app holds its extension, which holds this
        self.run_hook: Callable[[Hook], object] = run_at_once
        self.settings = settings
        self.rules = _rules(settings, self)
        self.async_rules = self._async_rules()
        self.health = Health()
        self._find_source = find_source
        self._source: SessionSource | None = None
        self.asynchronous: AsyncSource | None = None
        self.watchers: list[Callable[[Iterable[Engine]], None]] = []
        # What db.session stands for now, guarded: test kits replace it after init_app.
        self.registry: Callable[[], Registry] = self._first_registry

    @property
    def app(self) -> Flask:
        """The app, which lives as long as anybody asks."""
        app = self._app()
        if app is None:
            raise errors.NoAppError(
                "The app of this session is gone. Keep a reference to the Flask object."
            )
        return app

    @property
    def source(self) -> SessionSource:
        """Where the app's sessions come from.

        Raises:
            NoAppError: If the app has no database.
        """
        if self._source is None:
            self._source = self._find_source(self.app)
        return self._source

    def engines(self) -> Mapping[str, Engine]:
        """The app's engines by name, as far as they are known here; those of async sessions say so."""
        found = {} if self.asynchronous is None else self.asynchronous.engines()
        named = {f"{name} (async)": engine for name, engine in found.items()}
        return {**self.source.engines(), **named}

    def databases(self) -> list[Engine]:
        """One engine for each of the app's databases."""
        found = {
            (each.url.host, each.url.port, each.url.database): each
            for each in reversed([*self.engines().values()])
        }
        return list(found.values())

    def _async_rules(self) -> Rules:
        if self.rules.twophase is None:
            return self.rules

        def twophase() -> bool:
            return self.asynchronous is not None and _can_prepare(self.asynchronous.engines())

        return replace(self.rules, twophase=twophase)

    def refresh(self, app: Flask) -> None:
        """Guard what *app* has now; a database may be registered late, or once more."""
        try:
            source = self._find_source(app)
        except errors.NoAppError:
            self._source, self.registry = None, self._first_registry
            return
        self._source, self.registry = source, source.registry
        source.registry()

    def _first_registry(self) -> Registry:
        return self.source.registry()


def _rules(settings: Settings, state: AppState) -> Rules:
    def hook_errors() -> Any:
        return settings.hook_errors or ("raise" if state.app.testing else "log")

    def engine_name(engine: Engine) -> str:
        names = (name for name, each in state.engines().items() if each is engine)
        return next(names, engine.url.render_as_string())

    def run_hook(hook: Hook) -> object:
        return state.run_hook(hook)

    def twophase() -> bool:
        return _can_prepare(state.source.engines())

    return Rules(
        ownership=settings.ownership,
        ownership_modules=settings.ownership_modules,
        sharing=settings.sharing,
        hook_errors=hook_errors,
        twophase=twophase if settings.twophase else None,
        engine_name=engine_name,
        commit_timeout=settings.commit_timeout or None,
        verify_seconds=settings.verify_seconds if settings.verify_commit else None,
        held_connection=settings.held_connection,
        held_seconds=settings.held_seconds,
        origin=origin_here,
        describe=describe_origin,
        run_hook=run_hook,
    )


def _can_prepare(engines: Mapping[str, Engine]) -> bool:
    """Whether there are several databases and all of them know two-phase commit."""
    names = {each.dialect.name for each in engines.values()}
    return len(engines) > 1 and names <= {"postgresql", "mysql", "mariadb"}


def real_app(app: Any) -> Flask:
    """The application, also where ``current_app`` was given."""
    real = app._get_current_object() if isinstance(app, LocalProxy) else app
    if isinstance(real, Flask):
        return real
    raise TypeError(f"'app' is {app!r}. Give the Flask application first: 'SafeSession(app, db)'.")
