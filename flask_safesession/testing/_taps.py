"""Where the statements of an engine come by: those who look at each, and the one who sends it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.pool.base import _AdhocProxiedConnection

__all__ = ["Tap", "is_introduced", "tap"]

_TAP = "_safesession_tap"
_EVENTS = ("do_execute", "do_executemany", "do_execute_no_params")

Look = Callable[[Any, str, ExecutionContext], None]
Send = Callable[[str, Any, str, tuple[Any, ...]], bool]


class Tap:
    """The listeners of one engine; SQLAlchemy asks them in the order in which they came, and no other can be had.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looks: list[Look] = []
        self._send: Send | None = None
        self._listeners = {name: self._listener(name) for name in _EVENTS}

    def look(self, look: Look) -> Callable[[], None]:
        """Call ``look(cursor, statement, context)`` before each statement; what it raises is the answer.

        Returns:
            What ends it.
        """
        self._begin()
        self._looks.append(look)
        return functools.partial(self.look_away, look)

    def look_away(self, look: Look) -> None:
        """Do so no longer."""
        self._looks.remove(look)
        self._end()

    def send(self, send: Send | None) -> None:
        """Let ``send(method, cursor, statement, rest)`` send the statements; None lets SQLAlchemy do it."""
        self._begin()
        self._send = send
        self._end()

    @property
    def _is_idle(self) -> bool:
        return not self._looks and self._send is None

    def _begin(self) -> None:
        if self._is_idle:
            for name, listener in self._listeners.items():
                event.listen(self._engine, name, listener)

    def _end(self) -> None:
        if self._is_idle:
            for name, listener in self._listeners.items():
                event.remove(self._engine, name, listener)

    def _listener(self, name: str) -> Callable[..., bool]:
        def listener(cursor: Any, statement: str, *rest: Any) -> bool:
            context: ExecutionContext = rest[-1]
            if is_introduced(context.root_connection.connection):
                return False
            for look in self._looks:
                look(cursor, statement, context)
            return self._send is not None and self._send(name, cursor, statement, rest)

        return listener


def is_introduced(connection: object) -> bool:
    """Whether SQLAlchemy is asking a new *connection* what it is."""
    return isinstance(connection, _AdhocProxiedConnection)


def tap(engine: Engine) -> Tap:
    """The tap of *engine*."""
    marks = vars(engine.dialect)
    if _TAP not in marks:
        marks[_TAP] = Tap(engine)
    found: Tap = marks[_TAP]
    return found
