"""Errors of the database that a test orders: at which call, and which one."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal

from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.orm import Session
from typing_extensions import Self

from .. import errors
from .._core.dialects import wire_engine
from .._core.driver_codes import ends_transaction
from .._core.forks import is_in_memory
from .._core.places import outside
from .._core.sending import ORIGINAL
from .._unit import current_rules
from ._driver_errors import LOST, driver_error
from ._engines import each_engine, unpooled
from ._orders import Call, Plan, check_call, make_plan
from ._pools import LendingPool
from ._taps import is_introduced, tap

__all__ = ["Faults"]

_INJECTED = "_safesession_injected"
_METHODS = ("do_rollback", "is_disconnect", ORIGINAL)


# The error of a flush, until its first statement.
_flushing: ContextVar[Plan | None] = ContextVar("safesession_flushing", default=None)


class Faults:
    """Lets the databases of *app* fail inside the ``with`` block, as the test orders.

    The errors have the classes and the codes of the driver in use, and the connection is left as such an error leaves
    it. An error that was ordered and never came is a warning at the end.

    Args:
        app: The app.

    Raises:
        NoAppError: On entering, if the app has no ``SafeSession``.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._plans: list[Plan] = []
        self._engines: list[Engine] = []
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        event.listen(Session, "before_flush", self._before_flush)
        self._undo.callback(event.remove, Session, "before_flush", self._before_flush)
        self._undo.enter_context(each_engine(self._app, self._wire))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._undo.close()
        if kind is None:
            for plan in self._plans:
                warnings.warn(plan.never_came, errors.SafeSessionWarning, stacklevel=2)

    def _wire(self, engine: Engine) -> Callable[[], None]:
        self._engines.append(engine)
        return _Wiring(engine, self).remove

    def fail(self, call: Call, *, error: str, nth: int = 1, matching: str | None = None) -> None:
        """Let the database answer a call with an error.

        Args:
            call: ``"commit"``, ``"flush"``, ``"savepoint"``, ``"rollback"``, ``"connect"`` (when a connection is taken
                from the pool) or ``"execute"`` (any statement).
            error: The category of the error, as :func:`flask_safesession.classify` names it.
            nth: Which of the calls from now on, from 1. A call that fails by another order counts too; where two are
                due at once, the later one is for the next call.
            matching: For ``"execute"``: a regular expression that the statement must contain.

        Raises:
            ValueError: If the call or the error is not known, or the database never answers this call with it, or
                *matching* is no regular expression or not for ``"execute"``.
            TypeError: If an argument is of another type.
            IsolationUnavailableError: If it would end the connection to SQLite in memory, and with it the database, in
                a test that is not rolled back.
        """
        check_call(self._engines, call, error)
        self._order(make_plan(call, nth, error, matching))

    def lose_reply(self, call: Literal["commit"] = "commit", *, nth: int = 1) -> None:
        """Let the database commit, and the connection break before its answer arrives.

        Raises:
            ValueError: If *call* is not ``"commit"``.
            IsolationUnavailableError: As for :meth:`fail`.
        """
        if call != "commit":
            raise ValueError(f"The reply to '{call}' cannot be lost. Give 'commit'.")
        self._order(make_plan(call, nth, "connection_lost", is_late=True))

    def kill_connection(self) -> None:
        """End the connection of the next statement on the server, before the statement is sent.

        Raises:
            IsolationUnavailableError: In a test that is rolled back, which has no other connection, and as for
                :meth:`fail`.
        """
        if any(isinstance(each.pool, LendingPool) for each in self._engines):
            raise errors.IsolationUnavailableError(
                f"{outside().place} kills the one connection of a test that is rolled back. Give the test real "
                "transactions with '@pytest.mark.safesession(isolation=\"commit\")', or let a call fail with "
                '\'faults.fail("execute", error="connection_lost")\'.'
            )
        self._order(make_plan("execute", 1, None))

    def _order(self, plan: Plan) -> None:
        if plan.call != "connect" and (plan.error is None or plan.error in LOST):
            self._check_memory()
        self._plans.append(plan)

    def _check_memory(self) -> None:
        for engine in self._engines:
            if is_in_memory(engine) and not isinstance(engine.pool, LendingPool):
                raise errors.IsolationUnavailableError(
                    f"{outside().place} breaks the connection to SQLite in memory, and with it the database is gone. "
                    "Give the test a SQLite file, or let it be rolled back with the fixture 'db_session'."
                )

    def due(self, call: str, statement: str = "") -> Plan | None:
        """The plan that this *call* fulfils, if one does."""
        counting = [each for each in self._plans if each.counts(call, statement)]
        for plan in counting:
            plan.left -= 1
        found = next((each for each in counting if each.left < 1), None)
        if found is not None:
            self._plans.remove(found)
        return found

    def due_statement(self, statement: str) -> Plan | None:
        """The same for a statement, which may be the first of a flush, or a savepoint."""
        flush = _flushing.get()
        _flushing.set(None)
        if statement.startswith("SAVEPOINT"):
            return flush or self.due("savepoint")
        return flush or self.due("execute", statement)

    def _before_flush(self, *_: object) -> None:
        _flushing.set(self.due("flush"))


class _Wiring:
    """The places of one engine where its database can fail."""

    def __init__(self, engine: Engine, faults: Faults) -> None:
        wire_engine(engine, current_rules())
        self._engine = engine
        self._faults = faults
        self._pool: Any = engine.pool
        self._dialect: dict[str, Any] = vars(engine.dialect)
        self._before = {name: self._dialect.get(name) for name in _METHODS}
        self._stock = {name: getattr(engine.dialect, name) for name in _METHODS}
        self._dialect.update({"do_rollback": self._rollback, ORIGINAL: self._commit})
        self._dialect["is_disconnect"] = self._is_disconnect
        vars(self._pool)["connect"] = self.connect
        tap(engine).look(self._statement)

    def remove(self) -> None:
        """Let the engine be what it was."""
        tap(self._engine).look_away(self._statement)
        vars(self._pool).pop("connect", None)
        for name, before in self._before.items():
            if before is None:
                del self._dialect[name]
            else:
                self._dialect[name] = before

    def connect(self) -> Any:
        """What the pool does when it is asked for a connection."""
        plan = self._faults.due("connect")
        if plan is not None:
            raise self._error(plan)
        return type(self._pool).connect(self._pool)

    def _commit(self, connection: Any) -> None:
        plan = self._faults.due("commit")
        if plan is None or plan.is_late:
            self._stock[ORIGINAL](connection)
        if plan is not None:
            raise self._error(plan)

    def _rollback(self, connection: Any) -> None:
        plan = None if is_introduced(connection) else self._faults.due("rollback")
        if plan is not None:
            raise self._error(plan)
        self._stock["do_rollback"](connection)

    def _statement(self, cursor: Any, statement: str, context: ExecutionContext) -> None:
        plan = self._faults.due_statement(statement)
        if plan is None:
            return
        connection = context.root_connection.connection
        if plan.error is None:
            _kill(self._engine, connection)
            return
        error = self._error(plan)
        self._break(cursor, connection, error)
        raise error

    def _break(self, cursor: Any, connection: Any, error: BaseException) -> None:
        """Leave the transaction as the database would."""
        if self._engine.dialect.name == "postgresql":
            with contextlib.suppress(self._engine.dialect.loaded_dbapi.Error):
                cursor.execute("SELECT 1 / 0")
        elif ends_transaction(self._engine.dialect.name, error):
            connection.rollback()

    def _error(self, plan: Plan) -> BaseException:
        error = driver_error(self._engine, str(plan.error))
        vars(error)[_INJECTED] = plan.error
        return error

    def _is_disconnect(self, error: BaseException, *rest: Any) -> bool:
        is_known = bool(self._stock["is_disconnect"](error, *rest))
        return is_known or vars(error).get(_INJECTED) in LOST


def _kill(engine: Engine, connection: Any) -> None:
    raw = connection.dbapi_connection
    make = _KILLERS.get(engine.dialect.name)
    if make is None:
        raw.close()
        return
    statement = make(raw)
    with unpooled(engine.url).connect() as other:  # it does not wait for those of the engine
        other.exec_driver_sql(statement)


def _kill_postgresql(raw: Any) -> str:
    if hasattr(raw, "info"):
        return f"SELECT pg_terminate_backend({raw.info.backend_pid}, 5000)"
    return f"SELECT pg_terminate_backend({raw.driver_connection.get_server_pid()}, 5000)"


def _kill_mariadb(raw: Any) -> str:
    return f"KILL {getattr(raw, 'driver_connection', raw).thread_id()}"


_KILLERS: dict[str, Callable[[Any], str]] = {
    "postgresql": _kill_postgresql,
    "mysql": _kill_mariadb,
    "mariadb": _kill_mariadb,
}
