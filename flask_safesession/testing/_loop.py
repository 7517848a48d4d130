"""An event loop that lasts as long as a test, and what belongs to it used from the loops of the code under test."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.util import await_only, greenlet_spawn
from typing_extensions import ParamSpec, Self

__all__ = ["LoopCursor", "OnLoop", "TestLoop", "run_for"]

P = ParamSpec("P")
T = TypeVar("T")


class TestLoop:
    """An event loop in a thread of its own, which does one thing after the other."""

    __test__ = False  # no test of pytest's

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, if it was ever used, and with it its connections."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What *fn* returns there; the caller's thread waits."""
        if threading.current_thread() is self._thread:
            return fn(*args, **kwargs)
        return self._send(functools.partial(fn, *args, **kwargs)).result()

    def wait(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, while the caller's own event loop goes on; a caller that is cancelled does not break it off."""
        return await_only(self._sent(functools.partial(fn, *args, **kwargs)))

    async def _sent(self, work: Callable[[], T]) -> T:
        return await asyncio.shield(asyncio.wrap_future(self._send(work)))

    def _send(self, work: Callable[[], T]) -> Future[T]:
        with self._starting:
            if self._thread is None:
                self._start()
        return asyncio.run_coroutine_threadsafe(self._alone(work), self._loop)

    def _start(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._turn = asyncio.Lock()
        self._thread = threading.Thread(target=self._work, name="loop of a test", daemon=True)
        self._thread.start()

    async def _alone(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await greenlet_spawn(work)

    def _work(self) -> None:
        self._loop.run_forever()
        self._loop.close()


def run_for(engine: Engine, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What *fn* returns where it may use connections of *engine*."""
    if not engine.dialect.is_async:
        return fn(*args, **kwargs)
    with TestLoop() as loop:
        return loop.run(fn, *args, **kwargs)


class OnLoop:
    """*target*, of which the methods called *names* run on *loop*."""

    def __init__(self, target: object, loop: TestLoop, names: Collection[str]) -> None:
        self._target = target
        self._loop = loop
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return functools.partial(self._loop.run, found) if name in self._names else found


class LoopCursor:
    """A cursor of a connection that belongs to *loop*, for code that runs on any other.

    Args:
        cursor: The cursor.
        loop: The loop.
        streams: The rows are fetched one after the other from the server.
    """

    def __init__(self, cursor: Any, loop: TestLoop, *, streams: bool) -> None:
        vars(self).update(_cursor=cursor, _loop=loop, _streams=streams)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cursor, name)
        if not callable(found):
            return found
        waits = self._streams or name.startswith("execute")
        return functools.partial(self._loop.wait if waits else self._loop.run, found)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._cursor, name, value)

    async def _async_soft_close(self) -> None:
        """What SQLAlchemy awaits when all rows are there."""
        self._loop.run(lambda: await_only(self._cursor._async_soft_close()))  # noqa: SLF001 - SQLAlchemy's own
