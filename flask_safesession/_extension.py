"""``SafeSession``: the extension object, and how it is wired into an app."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from typing_extensions import ParamSpec, TypeVarTuple, Unpack

from . import _phases, _saving, _session, _sharing, _streaming, _transaction, errors
from ._answers import wire_http_errors
from ._attempts import AttemptOptions, Attempts, make_attempts
from ._config import Settings
from ._core.faults import Fault, classify
from ._core.forks import warn_of_silent_forks
from ._core.guard import guard_factory
from ._core.options import Propagation, make_options
from ._core.places import here, outside
from ._core.retry import Retry
from ._core.scope import Scope
from ._core.statistics import Statistics
from ._engines import give_defaults, read_statistics
from ._sources import guard_scoped, is_async_factory, source_finder
from ._state import EXTENSION, STATE, AppState, real_app
from ._teardown import wire_teardown
from ._transaction import TransactionalOptions
from ._unit import Unit, current_rules, current_unit
from ._view_scopes import check_views, wire_views

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

__all__ = ["SafeSession"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SafeSession:
    """Makes the sessions of one or several Flask apps safe.

    Args:
        app: The app; None if :meth:`init_app` is called later.
        db: Flask-SQLAlchemy's or Flask-SQLAlchemy-Lite's ``SQLAlchemy``, a ``sessionmaker`` or a ``scoped_session``;
            None takes the Flask-SQLAlchemy that is registered with the app, when it is first needed.
        options: The settings in lower case without the prefix ``SAFESESSION_``; ``app.config`` wins.

    Raises:
        TypeError: If *app* is no Flask app, or *db* gives no sessions.
        ValueError: If a setting is unknown or has a value that is not allowed.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask | None = None, db: Any = None, **options: Any) -> None:
        self._app: Flask | None = None
        self._db = db
        self.async_factory: Any = db if is_async_factory(db) else None
        self._options = options
        Settings.load({}, options)
        if app is not None:
            self.init_app(app)
            self._app = real_app(app)

    def init_app(self, app: Flask, db: Any = None) -> None:
        """Wire the extension into *app*, before or after ``db.init_app(app)``; arguments as for the class.

        Raises:
            RuntimeError: If *app* has a ``SafeSession`` already.
        """
        app = real_app(app)
        if EXTENSION in app.extensions:
            raise RuntimeError(
                f"The app '{app.name}' has a SafeSession already. Call 'init_app()' once for each app, and use "
                "'app.extensions[\"safesession\"]' elsewhere."
            )
        settings = Settings.load(app.config, self._options)
        warn_of_silent_forks()
        db = self._db if db is None else db
        plain = isinstance(db, (sessionmaker, scoped_session)) or is_async_factory(db)
        if "sqlalchemy" not in app.extensions and not plain:
            give_defaults(app)
        state = AppState(app, settings, source_finder(db))
        app.extensions[EXTENSION] = self
        app.extensions[STATE] = state
        wire_teardown(state)
        if self.async_factory is not None or app.config.get("SQLALCHEMY_ASYNC_ENGINES"):
            from ._async.sources import wire_async_source

            wire_async_source(state)
        if settings.async_portal:
            from ._async.portal import wire_portal

            wire_portal(app)
        _sharing.wire_async(app)
        wire_http_errors(app, settings.http_errors)
        check_views(app)
        if settings.transactional_views:
            wire_views(app)

    def include(
        self, factory: sessionmaker[Any] | scoped_session[Any] | async_sessionmaker[Any]
    ) -> None:
        """Guard another session factory of the same app too.

        The sessions of a ``scoped_session`` then belong to the app context, and end with it. Scopes stay with the
        app's main session.

        Args:
            factory: A ``sessionmaker`` or ``scoped_session``.

        Raises:
            TypeError: If it is neither.
        """
        if is_async_factory(factory):
            from ._async.sources import guard_async_factory

            guard_async_factory(factory)
            self.async_factory = factory
        elif isinstance(factory, scoped_session):
            guard_scoped(factory, replace=True)
        elif isinstance(factory, sessionmaker):
            guard_factory(factory, current_rules)
        else:
            raise TypeError(
                f"'factory' is {factory!r}. Give a 'sessionmaker' or a 'scoped_session'."
            )

    def session_manager(
        self,
        *,
        propagation: Propagation | str = "required",
        read_only: bool = False,
        isolation_level: str | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> _session.SessionManager:
        """As :func:`flask_safesession.session_manager`, for the app of this extension."""
        options = make_options(propagation, read_only, isolation_level, timeout, name)
        return _session.SessionManager(options, here(1), self._unit)

    @overload
    def transactional(self, fn: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def transactional(
        self, /, **options: Unpack[TransactionalOptions]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def transactional(
        self, fn: Callable[P, R] | None = None, /, **options: Unpack[TransactionalOptions]
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """As :func:`flask_safesession.transactional`, for the app of this extension."""
        decorate = _transaction.decorator(self._unit, options)
        return decorate if fn is None else decorate(fn)

    def run(
        self,
        fn: Callable[[Unpack[Ts]], R],
        /,
        *args: Unpack[Ts],
        retry: Retry = None,
        **options: Unpack[AttemptOptions],
    ) -> R:
        """Call ``fn(*args)`` in a scope, as under :func:`transactional`, which explains *retry*.

        Args:
            fn: A function; it gets its arguments only. What takes keyword arguments is given as a ``partial``.
            args: Its arguments; with *retry*, their lists, dicts and sets are copied for each try.
            retry: As for :func:`transactional`.
            options: ``read_only``, ``isolation_level``, ``timeout`` and ``name``, as for :func:`session_manager`.

        Returns:
            What *fn* returned.

        Raises:
            TypeError: If *fn* is not a plain function.
            DetachedArgumentError: If there are ORM instances among *args* and *retry* is set.
            TransactionActiveError: If *retry* is set and the context holds changes that nobody committed.

        .. versionadded:: 0.1
        """
        make = _transaction.maker(self._unit, {"retry": retry, **options}, "run()")
        return make(fn)(*args)

    def attempts(self, policy: Retry = None, **options: Unpack[AttemptOptions]) -> Attempts:
        """As :func:`flask_safesession.attempts`, for the app of this extension."""
        return make_attempts(policy, options, here(1), self._unit)

    def requires_transaction(self, fn: Callable[P, R]) -> Callable[P, R]:
        """As :func:`flask_safesession.requires_transaction`, for the app of this extension."""
        return _session.make_service(fn, self.current_scope)

    def non_transactional(self, fn: Callable[P, R]) -> Callable[P, R]:
        """As :func:`flask_safesession.non_transactional`."""
        return _transaction.non_transactional(fn)

    def current_scope(self) -> Scope | None:
        """As :func:`flask_safesession.current_scope`; None inside a context of another app."""
        scope = _session.current_scope()
        return scope if scope is not None and self._serves(current_unit()) else None

    def on_commit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Callable[P, R]:
        """As :func:`flask_safesession.on_commit`, for the app of this extension."""
        self._unit()
        return _session.on_commit(fn, *args, **kwargs)

    def on_rollback(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[P, R]:
        """As :func:`flask_safesession.on_rollback`, for the app of this extension."""
        self._unit()
        return _session.on_rollback(fn, *args, **kwargs)

    def on_unknown(
        self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[P, R]:
        """As :func:`flask_safesession.on_unknown`, for the app of this extension."""
        self._unit()
        return _session.on_unknown(fn, *args, **kwargs)

    def safe_commit(self) -> None:
        """As :func:`flask_safesession.safe_commit`, for the app of this extension."""
        _saving.save(self._unit())

    def add_all_or_abort(
        self, instances: Iterable[T], *, description: str | None = None
    ) -> list[T]:
        """As :func:`flask_safesession.add_all_or_abort`, for the app of this extension."""
        return _saving.store(self._unit(), instances, description)

    @overload
    def run_in_phases(  # type: ignore[overload-overlap] # where both match, R is the coroutine
        self,
        prepare: _phases.Prepare[T],
        execute: _phases.Execute[T, R],
        record: _phases.Record[R],
    ) -> R: ...

    @overload
    def run_in_phases(
        self,
        prepare: _phases.AwaitedPrepare[T] | _phases.Prepare[T],
        execute: _phases.AwaitedExecute[T, R],
        record: _phases.AwaitedRecord[R] | _phases.Record[R],
    ) -> Coroutine[Any, Any, R]: ...

    def run_in_phases(self, prepare: Any, execute: Any, record: Any) -> Any:
        """As :func:`flask_safesession.run_in_phases`, for the app of this extension."""
        return _phases.phases(self._unit, prepare, execute, record)

    @overload
    def stream_with_session(self, generator: Iterable[T]) -> _streaming.SessionStream[T]: ...

    @overload
    def stream_with_session(
        self, generator: Callable[P, Iterable[T]]
    ) -> Callable[P, _streaming.SessionStream[T]]: ...

    def stream_with_session(self, generator: Any) -> Any:
        """As :func:`flask_safesession.stream_with_session`, for the app of this extension."""
        return _streaming.make_stream(generator, self._unit)

    def handoff(self, session: Session | scoped_session[Any] | AsyncSession) -> None:
        """As :func:`flask_safesession.handoff`."""
        _sharing.handoff(session)

    def classify(self, error: BaseException) -> Fault:
        """As :func:`flask_safesession.classify`."""
        return classify(error)

    def healthy(self, *, timeout: float = 2.0) -> bool:
        """Whether all databases of the app answer, for a health endpoint.

        It asks each by a connection of its pool; a pool whose connections are all at work is not waited for, and counts
        as well. While the circuit is open (``SAFESESSION_CIRCUIT_SECONDS``) it is False without asking.

        Args:
            timeout: Seconds to wait for all answers together.

        Raises:
            NoAppError: Without an app context, if the extension was made without an app.
        """
        if self._app is not None and not (has_app_context() and app_ctx.app is self._app):
            with self._app.app_context():
                return self.healthy(timeout=timeout)
        state = self._unit().state
        return state.health.check(state.databases(), timeout)

    def statistics(self) -> Statistics:
        """Who holds which connection of the app's engines now, in this process.

        Raises:
            NoAppError: If the app has no database; or if this extension serves several apps, outside of an
                application context.
        """
        if self._app is None:
            return read_statistics(self._unit().state)
        state: AppState = self._app.extensions[STATE]
        return read_statistics(state)

    def _serves(self, unit: Unit) -> bool:
        app = unit.state.app
        return app.extensions[EXTENSION] is self and self._app in (None, app)

    def _unit(self) -> Unit:
        unit = current_unit()
        if self._serves(unit):
            return unit
        wanted = "another app" if self._app is None else f"'{self._app.name}'"
        raise errors.NoAppError(
            f"{outside().place} used the SafeSession of {wanted} while the current app is '{unit.state.app.name}'. "
            "Put 'with app.app_context():' of that app around the call, or use the function of the package."
        )
