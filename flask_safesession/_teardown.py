"""The end of an application context: everything is rolled back, closed and reported, whatever else happens there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, appcontext_pushed, has_app_context, request_finished
from flask.globals import app_ctx
from sqlalchemy.orm import Session

from ._core.circuit import break_circuit
from ._core.dialects import wire_engine
from ._core.holding import end_of_context, watch_pool
from ._core.ledger import ledger_of
from ._core.sharing import is_at_hand
from ._state import AppState
from ._unit import Unit, context_object, existing_unit, find_unit

__all__ = ["wire_teardown"]

_STOCK = "flask_sqlalchemy"
_SHIELD = "_safesession_shield"
_FIRST_ERROR_STATUS = 400

Teardown = Callable[[Any], Any]


def wire_teardown(state: AppState) -> None:
    """Let the contexts of the app end with their sessions."""
    Wiring(state).connect()


class Wiring:
    """What one app needs at the beginning and the end of its contexts."""

    def __init__(self, state: AppState) -> None:
        self._app = state.app
        self._state = state
        self._placed = -1
        self._is_last = True
        # Flask asks of each of these whether it is a coroutine function: a plain one is asked fastest.
        self._first: Teardown = lambda error: (
            self.finish_last(error) if self._is_last else self.finish(error)
        )
        self._last: Teardown = lambda error: self.finish_last(error)  # noqa: PLW0108
        self._pushed: Callable[..., None] = lambda app, **_: self.pushed(app)

    def connect(self) -> None:
        appcontext_pushed.connect(self.first_pushed, self._app)
        appcontext_pushed.connect(self._pushed, self._app)
        request_finished.connect(self.answered, self._app)
        self._app.wsgi_app = _RequestEnd(self._app.wsgi_app, self._app)  # type: ignore[method-assign]
        self._state.refresh(self._app)
        self.place()

    def first_pushed(self, *_: Any, **__: Any) -> None:
        """Know the engines before anybody can use one: Flask-SQLAlchemy and Lite need a context for that."""
        try:
            engines = self._state.source.engines()
        except RuntimeError:
            return  # the database is not set up yet
        for engine in engines.values():
            wire_engine(engine, self._state.rules)
            break_circuit(engine, self._state.settings.circuit_seconds)
            watch_pool(engine, self._state.rules)  # it may have been watched for nobody
        appcontext_pushed.disconnect(self.first_pushed, self._app)

    def pushed(self, app: Flask) -> None:
        """A context begins, or goes on: ``stream_with_context`` pushes one again after its teardown."""
        self._state.refresh(app)
        if len(app.teardown_appcontext_funcs) != self._placed:
            self.place()
        unit = existing_unit()
        if unit is not None:
            unit.ended = False

    def answered(self, _: Flask, response: Response, **__: Any) -> None:
        """A request that answers with an error has given up what it changed."""
        unit = existing_unit()
        if unit is not None:
            unit.failed = response.status_code >= _FIRST_ERROR_STATUS
        if response.is_streamed and (unit := find_unit()) is not None:
            unit.streams = True

    def place(self) -> None:
        """Run just before Flask-SQLAlchemy removes its session, and once more if other functions come later."""
        functions = self._app.teardown_appcontext_funcs
        others = [fn for fn in functions if fn not in (self._first, self._last)]
        stock = [at for at, fn in enumerate(others) if _is_stock(fn)]
        ours = stock[-1] + 1 if stock else len(others)
        shielded = [fn if _is_stock(fn) else self._shielded(fn) for fn in others]
        self._is_last = len(stock) == ours
        last = [] if self._is_last else [self._last]
        functions[:] = [*last, *shielded[:ours], self._first, *shielded[ours:]]
        self._placed = len(functions)

    def finish_last(self, error: BaseException | None) -> None:
        """End what the other teardown functions left, and begin nothing any more."""
        unit = find_unit()
        if unit is not None:
            unit.ended = True
            unit.finish(error)
            if not unit.streams:
                end_of_context(context_object())

    def finish(self, error: BaseException | None) -> None:
        """End the sessions of the context, in which other teardown functions are still to come."""
        unit = existing_unit()
        if unit is not None:
            unit.finish(error)

    def _shielded(self, fn: Teardown) -> Teardown:
        """*fn*, after whose failure Flask 3.1 runs no further teardown function."""
        if hasattr(fn, _SHIELD) or inspect.iscoroutinefunction(fn):
            return fn

        @functools.wraps(fn)
        def shielded(error: BaseException | None) -> Any:
            try:
                return fn(error)
            except BaseException as failure:
                self.finish_last(failure)
                raise

        setattr(shielded, _SHIELD, True)
        return shielded


def _is_stock(fn: Teardown) -> bool:
    return str(getattr(fn, "__module__", "")).startswith(_STOCK)


class _RequestEnd:
    """Ends with a request what began in it, where an application context was pushed around many requests."""

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], app: Flask) -> None:
        self._wsgi_app = wsgi_app
        self._app = app

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        shared = self._shared_unit()
        if shared is None:
            return self._wsgi_app(environ, start_response)
        before = {session for session in shared.sessions.values() if session.in_transaction()}
        try:
            return self._wsgi_app(environ, start_response)
        except BaseException:
            shared.failed = True
            raise
        finally:
            _end_request(shared, before)

    def _shared_unit(self) -> Unit | None:
        if not has_app_context() or app_ctx.app is not self._app:
            return None
        return find_unit()


def _end_request(unit: Unit, before: Iterable[Session]) -> None:
    """Roll back the transactions that the request began; its objects stay attached."""
    begun = [each for each in unit.sessions.values() if each not in before]
    free = [each for each in begun if ledger_of(each).owner is None]
    unit.roll_back(
        [each for each in free if is_at_hand(each)]
    )  # others may be in the middle of something
