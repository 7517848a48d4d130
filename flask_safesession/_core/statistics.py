"""What can be read about the connections of an app: frozen, and made when somebody asks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from types import FrameType

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from .holders import Hold
from .places import place_of

__all__ = ["EngineStatistics", "Holder", "Statistics", "describe", "engine_statistics"]

_LONGEST_STATEMENT = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds one connection.

    Attributes:
        place: The line that took it, as ``'function' (path:line)``: the innermost outside SQLAlchemy and this package.
        seconds: How long ago that was.
        scope: The name of the scope that owns its transaction, if one does.
        context: The request or the application context that it was taken in.
        thread: The name of the thread that took it; None if that has ended.
        task: The name of the asyncio task that took it.
        statement: The last statement that its session was given, without its values.
        elsewhere: The line that the thread is at now, where that is no call to the database: the transaction is idle.

    .. versionadded:: 0.1
    """

    place: str
    seconds: float
    scope: str | None = None
    context: str | None = None
    thread: str | None = None
    task: str | None = None
    statement: str | None = None
    elsewhere: str | None = None

    def __str__(self) -> str:
        return f"{self.place} for {self.seconds:.1f} s{self.details}"

    @property
    def details(self) -> str:
        """All but the place and the time, as the end of a sentence."""
        thread = "in a thread that has ended" if self.thread is None else f"thread '{self.thread}'"
        parts = [
            None if self.scope is None else f"scope '{self.scope}'",
            self.context,
            thread,
            None if self.task is None else f"task '{self.task}'",
            None if self.statement is None else f"last statement '{self.statement}'",
            None if self.elsewhere is None else f"idle while the code is at {self.elsewhere}",
        ]
        return "".join(f", {each}" for each in parts if each is not None)


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """The connections of one engine.

    Attributes:
        name: The name under which the app knows it.
        url: Its address, without the password.
        pool: The class of its pool.
        size: The connections that the pool keeps open; None if it keeps no fixed number.
        limit: The most that can be out at a time; None if there is no limit.
        out: Those that are out; None if the pool does not count them.
        overflow: Those of them that are above *size*; None if the pool does not count them.
        holders: Who holds them, the longest first, as far as the extension saw them taken.

    .. versionadded:: 0.1
    """

    name: str
    url: str
    pool: str
    size: int | None
    limit: int | None
    out: int | None
    overflow: int | None
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """The connections of one app in this process.

    Attributes:
        engines: One entry for each engine, the default one first.

    .. versionadded:: 0.1
    """

    engines: tuple[EngineStatistics, ...]

    @property
    def holders(self) -> tuple[Holder, ...]:
        """Who holds the connections of all engines."""
        return tuple(holder for engine in self.engines for holder in engine.holders)


def engine_statistics(
    name: str, engine: Engine, limit: int | None, holds: Iterable[Hold]
) -> EngineStatistics:
    """Read out *engine*, whose connections *holds* tell of."""
    pool = engine.pool
    counted = pool if isinstance(pool, QueuePool) else None
    holders = sorted(map(describe, holds), key=lambda each: -each.seconds)
    return EngineStatistics(
        name=name,
        url=engine.url.render_as_string(),
        pool=type(pool).__name__,
        size=None if counted is None else counted.size(),
        limit=limit,
        out=None if counted is None else counted.checkedout(),
        overflow=None if counted is None else max(0, counted.overflow()),
        holders=tuple(holders),
    )


def describe(hold: Hold) -> Holder:
    """Put *hold* into words."""
    ledger = hold.ledger
    owner = None if ledger is None else ledger.owner
    keeper = hold.keeper
    return Holder(
        place=str(hold.place),
        seconds=monotonic() - hold.since,
        scope=None if owner is None else owner.name,
        context=hold.context,
        thread=None if keeper is None else keeper.name,
        task=hold.task,
        statement=None if ledger is None or ledger.last is None else _shortened(ledger.last),
        elsewhere=None if keeper is None or hold.task else _elsewhere(keeper.ident),
    )


def _shortened(statement: object) -> str:
    try:
        text = " ".join(str(statement).split())
    except Exception:  # noqa: BLE001 - what its own compiler cannot print is no reason to say nothing
        text = type(statement).__name__
    return text if len(text) <= _LONGEST_STATEMENT else f"{text[:_LONGEST_STATEMENT]}…"


def _elsewhere(thread: int) -> str | None:
    """Where *thread* is, unless it is in a call of SQLAlchemy's, or asks this."""
    if thread == threading.get_ident():
        return None
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, see sys
    inner = frame
    while frame is not None:
        if _is_engine(frame):
            return None
        frame = frame.f_back
    return None if inner is None else str(place_of(inner))


def _is_engine(frame: FrameType) -> bool:
    module: str = frame.f_globals.get("__name__", "")
    return module.startswith(("sqlalchemy.engine.", "sqlalchemy.pool."))
