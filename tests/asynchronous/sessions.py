"""What the tests of async sessions do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession._async.sources import async_factory, async_source
from flask_safesession._state import STATE, AppState

from ..kit import Kit

__all__ = ["Census", "inner_engine", "run", "session", "state_of", "store"]

# What a server calls the connections to a database.
IDENTS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = database()",
}


def state_of(kit: Kit) -> AppState:
    """What the extension knows about the app of *kit*."""
    state: AppState = kit.app.extensions[STATE]
    return state


def session(kit: Kit) -> AsyncSession:
    """A new async session of the app, inside its context."""
    return async_factory(state_of(kit))()


def inner_engine(kit: Kit, name: str = "default") -> Engine:
    """The async engine of that name, as SQLAlchemy's synchronous part knows it."""
    with kit.app.app_context():
        return async_source(state_of(kit)).engines()[name]


def run(kit: Kit, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run a coroutine function in a context of the app, on an event loop of its own."""

    async def main() -> Any:
        return await asyncio.wait_for(function(*args), 20)

    with kit.app.app_context():
        return asyncio.run(main())


async def store(kit: Kit, name: str) -> None:
    """Store one item."""
    async with session(kit) as opened, opened.begin():
        opened.add(kit.Item(name=name))


class Census:
    """The connections to the main database of *kit* that came since this was made.

    Observers of other tests are connected to it, too.
    """

    def __init__(self, kit: Kit) -> None:
        assert kit.database.observer is not None
        self._kit = kit
        self._observer = kit.database.observer
        self._before = self._known()

    def _known(self) -> set[int]:
        with self._observer.connect() as connection:
            return set(connection.scalars(text(IDENTS[self._kit.database.dialect])))

    def count(self, expected: int = 0) -> int:
        """How many there are.

        A server takes a moment to see that one is closed: until then, and for some seconds at most, it is asked again.
        """
        self._kit.dispose()
        until = monotonic() + 5
        while True:
            count = len(self._known() - self._before)
            if count == expected or monotonic() > until:
                return count
