"""No database for a test that has not asked for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from flask import Flask
from sqlalchemy import Engine, Pool
from sqlalchemy.pool import PoolProxiedConnection

from .. import errors
from .._core.places import Place, outside
from .._session import current_scope
from ._engines import each_engine
from ._taps import tap

__all__ = ["Refusal", "asked_for", "refused"]


class Refusal:
    """Says no, and remembers to whom: the code under test may swallow it."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._is_lifted = False
        self._pools: dict[Engine, RefusingPool] = {}

    def check(self) -> None:
        """Refuse the database to the line that reaches for it.

        Raises:
            IsolationUnavailableError: Unless it is lifted.
        """
        if self._is_lifted:
            return
        place = _place()
        self._places.append(place)
        raise errors.IsolationUnavailableError(_text([place]))

    def begin(self, engine: Engine) -> Callable[[], None]:
        """Let *engine* reach no database, until what is returned is called."""
        self._pools[engine] = RefusingPool(engine.pool, self)
        look_away = tap(engine).look(lambda *_: self.check())
        self._place_pools()

        def end() -> None:
            look_away()
            engine.pool = self._pools.pop(engine).real

        return end

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Let the database be used inside the ``with`` block."""
        before, self._is_lifted = self._is_lifted, True
        self._place_pools()
        try:
            yield
        finally:
            self._is_lifted = before
            self._place_pools()

    def _place_pools(self) -> None:
        for engine, pool in self._pools.items():
            if engine.pool in (pool, pool.real):
                engine.pool = pool.real if self._is_lifted else pool

    def take(self) -> str | None:
        """What there is to tell since the last time."""
        places, self._places = self._places, []
        return _text(list(dict.fromkeys(places))) if places else None


def _place() -> Place:
    """Who reaches for it: the owner of the scope where the framework is at its end, as with that of a view."""
    caller, scope = outside(), current_scope()
    if scope is not None and caller.module.startswith("flask."):
        return scope.place
    return caller.place


def _text(places: list[Place]) -> str:
    return (
        f"{', '.join(map(str, places))} used the database in a test that has not asked for it "
        "('safesession_db_access = explicit'). Give the test the fixture 'db_session' or 'transactional_db', or the "
        "mark '@pytest.mark.safesession(isolation=\"rollback\")'."
    )


_refusals: list[tuple[Flask, Refusal]] = []


class RefusingPool(Pool):
    """Gives no connection while *refusal* says no.

    Args:
        real: The pool whose place it takes.
        refusal: Is asked each time.
    """

    def __init__(self, real: Pool, refusal: Refusal) -> None:
        self.real = real
        self.refusal = refusal
        super().__init__(cast(Any, self.connect))

    def connect(self) -> PoolProxiedConnection:
        self.refusal.check()
        return self.real.connect()  # it was lifted meanwhile

    def recreate(self) -> Pool:
        return self

    def dispose(self) -> None:
        """Close the connections of the real one."""
        self.real.dispose()

    def status(self) -> str:
        return "no connection for this test"


@contextlib.contextmanager
def refused(app: Flask) -> Iterator[Refusal]:
    """Let *app* reach no database inside the ``with`` block, nor use the connections that it has already."""
    refusal = Refusal()
    with each_engine(app, refusal.begin):
        _refusals.append((app, refusal))
        try:
            yield refusal
        finally:
            _refusals.remove((app, refusal))


@contextlib.contextmanager
def asked_for(app: Flask) -> Iterator[None]:
    """Let the database of *app* be used inside the ``with`` block, which asks for it."""
    with contextlib.ExitStack() as stack:
        for refusing, refusal in _refusals:
            if refusing is app:
                stack.enter_context(refusal.lifted())
        yield
