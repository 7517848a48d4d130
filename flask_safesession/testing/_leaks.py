"""What a test leaves behind: scopes, connections, contexts and jobs, each with the line that it comes from."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask
from sqlalchemy import Pool, event
from typing_extensions import Self

from .._core.holding import LoopEndedError
from .._core.places import Place, outside
from .._unit import existing_unit
from ._blocks import BlockWatch, open_scopes, still_open
from ._contexts import ContextWatch, Tops, tops
from ._engines import all_engines_of, engines_of
from ._jobs import JobWatch

__all__ = ["LeakWatch"]

_GRACE = 1.0  # seconds in which a job that is about to end may do so


class LeakWatch:
    """Sees what is taken inside the ``with`` block and not given back.

    Args:
        app: The app whose connections count.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._taken: dict[Any, tuple[Pool, Place]] = {}
        self._takers: dict[Any, threading.Thread] = {}
        self._dropped: list[tuple[Pool, Place]] = []
        self._contexts = ContextWatch(app)
        self._blocks = BlockWatch()
        self._jobs = JobWatch()
        self._looking = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._tops = tops()
        self._known = open_scopes(existing_unit())
        self._home = threading.current_thread()
        _listen()
        _watches.append(self)
        self._contexts.begin()
        self._looking.enter_context(self._blocks.watching())
        self._looking.enter_context(self._jobs.watching())
        return self

    def __exit__(self, *_: object) -> None:
        self._looking.close()
        self._contexts.end()
        _watches.remove(self)

    def report(self) -> list[str]:
        """What is left, a sentence for each."""
        going_on = self._going_on()
        contexts = [
            *self._contexts.on_top(self._tops, is_last=True),
            *self._contexts.here(),
        ]
        return list(dict.fromkeys([*self._scopes(), *contexts, *self._connections(), *going_on]))

    def scopes(self) -> Iterator[str]:
        """The scopes that are open in the context on top, a sentence for each."""
        for scope in open_scopes(existing_unit()) - self._known:
            yield still_open(scope)

    def _scopes(self) -> Iterator[str]:
        yield from self.scopes()
        yield from self._blocks.report()

    def contexts(self, expected: Tops) -> Iterator[str]:
        """The contexts that are on top, unless they are the *expected* ones."""
        return self._contexts.on_top(expected)

    def roll_back(self) -> None:
        """Let go of the locks of connections that this thread, or one that has ended, did not give back."""
        pools = [each.pool for each in engines_of(self._app)]
        for record, taker in list(self._takers.items()):
            is_free = taker is self._home or not taker.is_alive()
            if is_free and _is_one_of(self._taken[record][0], pools):
                with contextlib.suppress(Exception):  # one that is broken holds none
                    record.dbapi_connection.rollback()

    def _connections(self) -> Iterator[str]:
        if not self._taken and not self._dropped:
            return
        pools = [each.pool for each in all_engines_of(self._app)]
        left = [("is still out of its pool", *each) for each in self._taken.values()]
        left += [("was out until its event loop was closed", *each) for each in self._dropped]
        for what, pool, place in left:
            if _is_one_of(pool, pools):
                yield f"a connection {what}, taken by {place}"

    def _going_on(self) -> list[str]:
        """The jobs and the contexts of other threads, after a moment for those that are about to end."""
        end = time.monotonic() + _GRACE
        while (found := list(self._find_going_on())) and time.monotonic() < end:
            threading.Event().wait(0.01)
        return found

    def _find_going_on(self) -> Iterator[str]:
        yield from self._jobs.report()
        yield from self._contexts.elsewhere()

    def checked_out(self, record: object, connection: Any) -> None:
        """A connection left its pool."""
        self._taken[record] = (connection._pool, outside().place)  # noqa: SLF001 - nothing else tells
        self._takers[record] = threading.current_thread()

    def checked_in(self, record: object) -> None:
        """It is back, or has left for good."""
        self._taken.pop(record, None)
        self._takers.pop(record, None)

    def invalidated(self, record: object, error: BaseException | None) -> None:
        """It is thrown away."""
        if isinstance(error, LoopEndedError) and record in self._taken:
            self._dropped.append(self._taken[record])


_watches: list[LeakWatch] = []


@functools.cache
def _listen() -> None:
    """Hear of each connection from now on: to listen and to stop for each test is a third of what the test costs."""

    @event.listens_for(Pool, "checkout")
    def checked_out(_: object, record: object, connection: object) -> None:
        for watch in _watches:
            watch.checked_out(record, connection)

    @event.listens_for(Pool, "checkin")
    @event.listens_for(Pool, "detach")
    def checked_in(_: object, record: object) -> None:
        for watch in _watches:
            watch.checked_in(record)

    @event.listens_for(Pool, "invalidate")
    def invalidated(_: object, record: object, error: BaseException | None) -> None:
        for watch in _watches:
            watch.invalidated(record, error)


def _is_one_of(pool: Pool, pools: list[Pool]) -> bool:
    """Whether it is, or is that of an event loop behind one of them: the same listens to both."""
    return any(pool is each or pool.dispatch is each.dispatch for each in pools)
