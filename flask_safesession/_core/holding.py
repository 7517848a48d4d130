"""The pools whose connections are watched: what is taken is noted, and who waits in vain learns for whom."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Hashable
from typing import Any, cast

from sqlalchemy import Engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, PoolProxiedConnection, QueuePool

from .. import errors
from .forks import after_fork_in_child
from .holders import Hold, Register, in_sessions, number_of_own, take_note
from .ledger import Rules
from .lookout import Look, Lookout
from .notes import add_note
from .overdue import Reports
from .places import caller_beyond, module_at
from .pool import capacity
from .statistics import EngineStatistics, describe, engine_statistics

__all__ = ["LoopEndedError", "end_of_context", "read_engine", "take_unwatched", "watch_pool"]

_SESSION = Session.__module__
_SESSION_DEPTH = 4  # frames between the pool and a session that asks it, in SQLAlchemy 2.0 and 2.1


class StarvedError(errors.PoolStarvationError, PoolTimeoutError):  # type: ignore[misc]  # both have a code
    """What SQLAlchemy would say after ``pool_timeout`` seconds, said at once; ``except`` finds it under both names."""

    __str__ = Exception.__str__


StarvedError.__name__ = StarvedError.__qualname__ = errors.PoolStarvationError.__name__
StarvedError.__module__ = errors.__name__


class LoopEndedError(Exception):
    """Why a connection was dropped that nobody had given back: its event loop is closed."""


class WatchedPool(Pool):
    """What is put in front of the class of a pool."""

    safesession_watched: Watched

    def recreate(self) -> Pool:
        pool = cast(WatchedPool, super().recreate())
        pool.safesession_watched = self.safesession_watched
        return pool

    def connect(self) -> PoolProxiedConnection:
        watched = self.safesession_watched
        most = watched.most_overflow
        if most is not None and self.overflow() >= most:  # type: ignore[attr-defined]
            watched.refuse_to_starve()
        try:
            lent = super().connect()
        except PoolTimeoutError as error:
            if not watched.reports.reclaim_dead(watched.holds()):
                watched.explain(error)
                raise
            lent = super().connect()
        if not _lookout.awake:
            _lookout.wake()
        if module_at(_SESSION_DEPTH) != _SESSION:  # which leaves a note of its own if it is guarded
            watched.register.add(lent, take_note(caller_beyond(1)), watched.rules.origin())
        return lent


class Watched:
    """What is known about the pool of one engine.

    Attributes:
        rules: The settings of its app.
        register: What was taken from it by other means than a session.
        reports: What was said about it.
        most_overflow: The overflow at which a thread would wait; None if none waits, or the pool has no bounds.
    """

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self._engine = weakref.ref(engine)
        self._limit = capacity(engine)
        self.rules = rules
        self.register = Register()
        self.reports = Reports(engine)
        pool = engine.pool
        # Who waits for an asynchronous pool is a task, and another one gives back.
        waits = isinstance(pool, QueuePool) and not isinstance(pool, AsyncAdaptedQueuePool)
        bounded = waits and self._limit is not None
        self.most_overflow = (
            cast(int, self._limit) - cast(QueuePool, pool).size() if bounded else None
        )

    @property
    def pool(self) -> Pool | None:
        """The pool that the engine has now."""
        engine = self._engine()
        return None if engine is None else engine.pool

    def holds(self, context: object = None) -> list[Hold]:
        """What is out; what was lent to a session is the session's.

        Args:
            context: Only what was taken in this application context; all if None.
        """
        pool = self.pool
        if pool is None or (isinstance(pool, QueuePool) and not pool.checkedout()):
            return []
        found = {id(each.lent): each for each in self.register.holds(self.rules, context)}
        found.update((id(each.lent), each) for each in in_sessions(pool, self.rules, context))
        return list(found.values())

    def explain(self, error: PoolTimeoutError) -> None:
        """Note on *error* who holds the connections that it waited for."""
        holders = sorted(map(describe, self.holds()), key=lambda each: -each.seconds)
        lines = "".join(f"\n  {each}" for each in holders)
        unseen = (self._limit or 0) - len(holders)
        if unseen > 0:
            lines += f"\n  {unseen} more, taken where this extension does not see it"
        add_note(error, f"The connections of the pool are held by:{lines}")

    def refuse_to_starve(self) -> None:
        """Raise at once where this thread would wait for connections that it holds itself, in guarded sessions.

        Nobody else can give those back. In a thread with an event loop another task can.
        """
        if not self._is_starved():
            return
        gc.collect()
        if not self._is_starved():
            return
        holders = "; ".join(map(str, map(describe, self.holds())))
        raise StarvedError(
            f"This thread needs one connection more and holds all {self._limit} that the pool can give itself, so "
            f"that it would wait for itself: {holders}. End one of those transactions first, or make the pool larger "
            "('pool_size', 'max_overflow')."
        )

    def _is_starved(self) -> bool:
        pool = cast(QueuePool, self.pool)
        if pool is None or pool.checkedout() < cast(int, self._limit):
            return False
        return number_of_own(pool) >= cast(int, self._limit)

    def read(self, name: str, engine: Engine) -> EngineStatistics:
        """Read out *engine*, under the *name* that its app gives it."""
        return engine_statistics(name, engine, self._limit, self.holds())


class _Process:
    """All that is watched in this process."""

    def __init__(self) -> None:
        self._watched: dict[weakref.ref[Watched], None] = {}

    def add(self, watched: Watched) -> None:
        """Watch it as well, until it is gone."""
        self._watched[weakref.ref(watched, self._watched.pop)] = None

    def watched(self) -> list[Watched]:
        """All of them; a ``WeakSet`` would take ten calls for that, at the end of each context."""
        return [each for known in list(self._watched) if (each := known()) is not None]

    def look(self) -> Look:
        """Report what is overdue."""
        watched = self.watched()
        # What is taken just after this is overdue in that time at the earliest.
        pause = min((each.rules.held_seconds for each in watched), default=1.0)
        due = [seconds for each in watched for seconds in each.reports.look(each.holds())]
        return Look(idle=not due, pause=min([pause, *due]))

    def forked(self) -> None:
        """What the parent has taken is the parent's."""
        for each in self.watched():
            each.register = Register()


_process = _Process()
_lookout = Lookout("safesession-connections", _process.look)
after_fork_in_child(_process.forked)


def watch_pool(engine: Engine, rules: Rules) -> None:
    """Watch the connections of *engine*; *rules* of an app replace those of nobody."""
    pool: Any = engine.pool
    if not isinstance(pool, WatchedPool):
        pool.safesession_watched = Watched(engine, rules)
        pool.__class__ = _watched_class(cast(Hashable, type(pool)))
        _process.add(pool.safesession_watched)
    elif pool.safesession_watched.rules.held_connection == "off":
        pool.safesession_watched.rules = rules


@functools.cache
def _watched_class(kind: Any) -> type[Pool]:
    # Pools log under their module and name.
    return type(kind.__name__, (WatchedPool, kind), {"__module__": kind.__module__})


def end_of_context(context: object) -> None:
    """Report what was taken in *context* and is still out, and take back what belonged to a request.

    Raises:
        HeldConnectionError: Where ``SAFESESSION_HELD_CONNECTION`` is ``"raise"``.
    """
    for watched in _process.watched():
        if watched.reports.is_shared:
            continue
        for hold in watched.holds(context):
            if not hold.is_handed_on:
                watched.reports.left_by_context(hold)


def take_unwatched(pool: Pool) -> PoolProxiedConnection:
    """A connection about which nobody is asked: the one that a test has of an engine outlives its contexts."""
    return super(WatchedPool, pool).connect() if isinstance(pool, WatchedPool) else pool.connect()


def read_engine(name: str, engine: Engine) -> EngineStatistics:
    """Read out *engine*, under the *name* that its app gives it."""
    watch_pool(engine, Rules())
    return cast(WatchedPool, engine.pool).safesession_watched.read(name, engine)
