"""What a test does to the engines of an app: rolled back at its end, or committed for real."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from flask import Flask
from sqlalchemy import Connection, Engine, event
from typing_extensions import Self

from .. import errors
from .._core.dialects import wire_engine
from .._core.places import outside
from .._unit import current_rules
from ._access import asked_for
from ._databases import Writers
from ._engines import each_engine
from ._lending import PATIENCE, SharedConnection
from ._loans import loan_of
from ._pools import LendingPool
from ._statements import Translator
from ._taps import tap

__all__ = ["RollbackIsolation"]

_LEVEL = "isolation_level"
_NOTED = "_safesession_levels_noted"


class RollbackIsolation:
    """Lets everything that *app* stores inside the ``with`` block be undone at its end.

    The code inside opens scopes, commits and rolls back as ever, on any thread. In truth each engine has one connection
    with one transaction, in which the others are savepoints.

    Args:
        app: The app.
        engines: More engines, which belong to no session of the app.
        patience: Seconds for which a thread waits for its turn on a connection.

    Raises:
        NoAppError: On entering, if the app has no ``SafeSession``.
        IsolationUnavailableError: On entering, if a database cannot do it, or it is done already.

    .. versionadded:: 0.1
    """

    def __init__(
        self, app: Flask, *, engines: Iterable[Engine] = (), patience: float = PATIENCE
    ) -> None:
        self._app = app
        self._more = list(engines)
        self._patience = patience
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        writers: Writers = {}

        def isolate(engine: Engine) -> Callable[[], None]:
            return _EngineIsolation(engine, self._patience, writers).end

        with ExitStack() as undo:
            undo.enter_context(asked_for(self._app))
            undo.enter_context(each_engine(self._app, isolate, self._more))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


class _EngineIsolation:
    """One engine, for the time of a test."""

    def __init__(self, engine: Engine, patience: float, writers: Writers) -> None:
        if isinstance(engine.pool, LendingPool):
            raise errors.IsolationUnavailableError(
                f"{outside().place} isolates '{engine.url}', which is isolated already. Ask for one isolation of a "
                "test, by a fixture or by a mark."
            )
        wire_engine(engine, current_rules())  # before anything of it is replaced
        self._engine = engine
        pool, shared = _kinds(engine)
        self._shared = shared(engine, patience, writers)
        dialect = vars(engine.dialect)
        self._replaced = {name: dialect.get(name) for name in _methods(self._shared)}
        dialect.update(_methods(self._shared))
        _note_levels(engine)
        tap(engine).send(Translator(self._shared).send)
        engine.pool = pool(self._shared)

    def end(self) -> None:
        """Undo what was stored, and let the engine be what it was."""
        tap(self._engine).send(None)
        dialect = vars(self._engine.dialect)
        for name, before in self._replaced.items():
            if before is None:
                del dialect[name]
            else:
                dialect[name] = before
        self._engine.pool = self._shared.real_pool
        self._shared.close()
        for remark in self._shared.remarks:
            warnings.warn(remark, errors.SafeSessionWarning, stacklevel=1)


def _kinds(engine: Engine) -> tuple[type[LendingPool], type[SharedConnection]]:
    if not engine.dialect.is_async:
        return LendingPool, SharedConnection
    from ._async_lending import AsyncLendingPool, AsyncSharedConnection

    return AsyncLendingPool, AsyncSharedConnection


def _methods(shared: SharedConnection) -> dict[str, Callable[..., Any]]:
    """What stands on the dialect in the place of its own methods."""
    dialect = shared.engine.dialect
    stock: Callable[..., Any] = dialect.set_isolation_level

    def set_isolation_level(raw: Any, level: Any) -> None:
        if not shared.owns(raw):
            stock(raw, level)

    return {
        # The transaction around the test has begun: its isolation level stays.
        "set_isolation_level": set_isolation_level,
        "reset_isolation_level": lambda raw: None,
        "do_begin": lambda connection: _begin(shared, connection),
        # One phase does for a test.
        "do_begin_twophase": lambda connection, xid: _begin(shared, connection.connection),
        "do_prepare_twophase": lambda connection, xid: None,
        "do_commit_twophase": lambda connection, *_, **__: connection.connection.commit(),
        "do_rollback_twophase": lambda connection, *_, **__: connection.connection.rollback(),
    }


def _begin(shared: SharedConnection, connection: Any) -> None:
    loan = loan_of(connection)
    if loan is not None:
        shared.begin(loan)


def _note_levels(engine: Engine) -> None:
    """Hear of the isolation levels of its connections from now on; those that no test lends are left alone."""
    marks = vars(engine.dialect)
    if _NOTED not in marks:
        marks[_NOTED] = True
        event.listen(engine, "engine_connect", _note_options)
        event.listen(engine, "set_connection_execution_options", _note_level)


def _note_options(connection: Connection) -> None:
    _note_level(connection, connection.get_execution_options())


def _note_level(connection: Connection, options: Any) -> None:
    """What a connection in AUTOCOMMIT has done stays done."""
    loan = loan_of(connection.connection)
    if loan is not None and _LEVEL in options:
        loan.commits_by_itself = options[_LEVEL] == "AUTOCOMMIT"
