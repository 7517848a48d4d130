"""Event loops and their connections: a pool for each loop, emptied before the loop is closed.

An engine is made once, with all that SQLAlchemy has learned about its server and has compiled for it. What belongs to
an event loop is a connection: so the pool that the engine knows is a front, behind which each loop has a pool of its
own. That pool hangs on the loop itself and is forgotten with it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Hashable
from concurrent import futures
from concurrent.futures import Future
from typing import Any, cast

from sqlalchemy import Engine
from sqlalchemy.pool import NullPool, Pool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import await_only, greenlet_spawn

from .._core.forks import after_fork_in_child, alive, is_in_memory
from .._core.holding import LoopEndedError
from .._core.runners import running_loop

__all__ = ["divide_by_loops"]

logger = logging.getLogger("flask_safesession")

_MARK = "_safesession_pools"
_PATIENCE = 5.0
"""Seconds that an end may take, and that one waits for another's first connection."""


class FrontPool(Pool):
    """What is put in front of the class of an engine's pool."""

    safesession_stock: type[Pool]
    safesession_first: First

    def recreate(self) -> Pool:
        pool: Any = super().recreate()
        pool.safesession_stock, pool.safesession_first = self.safesession_stock, First()
        return cast(Pool, pool)

    def safesession_another(self) -> Pool:
        """A pool as the engine had it before."""
        pool: Any = super().recreate()
        pool.__class__ = self.safesession_stock
        pool.dispatch = self.dispatch  # what listens to the engine listens to all of its pools
        return cast(Pool, pool)

    def connect(self) -> PoolProxiedConnection:
        pools = pools_of(asyncio.get_running_loop())
        if self.safesession_first.is_over:
            return pools.connect(self)
        return self.safesession_first.connect(lambda: pools.connect(self))

    def dispose(self) -> None:
        """Empty the pool of the loop that runs; those of other loops are emptied when their loops end."""
        if running_loop() is not None:
            for pool in self.safesession_pools():
                pool.dispose()

    def safesession_pools(self) -> list[Any]:
        """That of the loop that runs; outside of any, all of them."""
        loop = running_loop()
        every = alive(_known) if loop is None else [pools_of(loop)]
        return [each.pools[self] for each in every if self in each.pools]


class FrontQueue(FrontPool, QueuePool):  # type: ignore[misc]  # each recreates its own kind
    """The same of a pool that counts."""

    def checkedout(self) -> int:
        return sum(each.checkedout() for each in self.safesession_pools())

    def checkedin(self) -> int:
        return sum(each.checkedin() for each in self.safesession_pools())

    def overflow(self) -> int:
        pools = self.safesession_pools()
        return sum(each.overflow() for each in pools) if pools else -self.size()


class First:
    """Lets one at a time open the first connection of an engine: by that SQLAlchemy learns what the server can.

    SQLAlchemy's own lock is one of asyncio, and of no use to the loops of several threads.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._under_way: dict[str, Future[None]] = {}

    def connect(self, connect: Callable[[], PoolProxiedConnection]) -> PoolProxiedConnection:
        """Return what *connect* returns, when no other is about to learn."""
        while not self.is_over:
            mine: Future[None] = Future()
            mine.set_running_or_notify_cancel()  # who waits for it and is cancelled does not cancel it
            other = self._under_way.setdefault("", mine)
            if other is mine:
                return self._learn(connect, mine)
            if not _wait(other):
                break  # it gets no answer; to try as well may tell why
        return connect()

    def _learn(
        self, connect: Callable[[], PoolProxiedConnection], mine: Future[None]
    ) -> PoolProxiedConnection:
        try:
            connection = connect()
            self.is_over = True
            return connection
        finally:
            del self._under_way[""]
            mine.set_result(None)


def _wait(future: Future[None]) -> bool:
    done, _ = await_only(asyncio.wait([asyncio.wrap_future(future)], timeout=_PATIENCE))
    return bool(done)


class LoopPools:
    """The pools of one event loop, by the front of their engines."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.pools: dict[FrontPool, Pool] = {}
        self._lent: weakref.WeakSet[PoolProxiedConnection] = weakref.WeakSet()
        self._loop = loop
        self._close_loop = loop.close
        loop.close = self.close  # type: ignore[method-assign]
        setattr(loop, _MARK, self)
        _known[id(self)] = self

    def connect(self, front: FrontPool) -> PoolProxiedConnection:
        """A connection of this loop."""
        pool = self.pools.get(front)
        if pool is None:
            pool = self.pools[front] = front.safesession_another()
        lent = pool.connect()
        self._lent.add(lent)
        return lent

    def close(self) -> None:
        """Empty the pools, and close the loop."""
        if self.pools and not self._loop.is_closed() and not self._loop.is_running():
            _run_alone(lambda: self._loop.run_until_complete(self.empty()))
        self._close_loop()

    def finish(self) -> None:
        """Empty the pools at the end of the program, if nobody has closed the loop."""
        if self._loop.is_closed():
            return
        if self._loop.is_running():
            ending = asyncio.run_coroutine_threadsafe(self.empty(), self._loop)
            futures.wait([ending], _PATIENCE)
        else:
            self._loop.run_until_complete(self.empty())

    async def empty(self) -> None:
        """Close all connections, also those that somebody forgot to give back."""
        pools, self.pools = self.pools, {}
        try:
            await asyncio.wait_for(greenlet_spawn(self._empty, pools), _PATIENCE)
        except Exception:
            logger.exception("The connections of an event loop could not be closed.")

    def _empty(self, pools: dict[FrontPool, Pool]) -> None:
        for lent in list(self._lent):
            if lent.is_valid and not lent.is_detached:
                lent.invalidate(LoopEndedError())
        for pool in pools.values():
            pool.dispose()


_known: weakref.WeakValueDictionary[int, LoopPools] = weakref.WeakValueDictionary()


def pools_of(loop: AbstractEventLoop) -> LoopPools:
    """The pools of *loop*."""
    found: LoopPools | None = getattr(loop, _MARK, None)
    return LoopPools(loop) if found is None else found


def _run_alone(run: Callable[[], object]) -> None:
    """Run a loop; where another runs in this thread, in another thread."""
    if running_loop() is None:
        run()
        return
    thread = threading.Thread(target=run, name="end of an event loop")
    thread.start()
    thread.join()


def divide_by_loops(engine: Engine) -> None:
    """Give each event loop connections of its own.

    Raises:
        ValueError: If the engine has one connection for all.
    """
    pool = engine.pool
    if isinstance(pool, FrontPool):
        return
    if is_in_memory(engine) or not isinstance(pool, (QueuePool, NullPool)):
        raise ValueError(
            f"'{engine.url}' has one connection for all event loops ({type(pool).__name__}), and each async view has a "
            "loop of its own. Use a database in a file or on a server, with the pool that it gets by itself."
        )
    loop = asyncio._get_running_loop()  # noqa: SLF001 - documented, and raises nothing
    used = isinstance(pool, QueuePool) and pool.checkedin() + pool.checkedout() > 0
    front: Any = pool.recreate() if used else pool
    front.safesession_stock, front.safesession_first = type(pool), First()
    front.__class__ = _front_class(cast(Hashable, type(pool)))
    engine.pool = front
    if used and loop is not None:  # whose connections they are
        pools_of(loop).pools[front] = pool


@functools.cache
def _front_class(kind: Any) -> type[Pool]:
    # Pools log under their module and name.
    front = FrontQueue if issubclass(kind, QueuePool) else FrontPool
    return type(kind.__name__, (front, kind), {"__module__": kind.__module__})


def _finish_all() -> None:
    for each in alive(_known):
        each.finish()


def _forget_all() -> None:
    """In a forked child the loops of the parent are never run: they share their selectors with it."""
    for each in alive(_known):
        each.pools = {}
    _known.clear()


atexit.register(_finish_all)
after_fork_in_child(_forget_all)
