"""Who holds the connections of a pool: noted where one is taken, and put into words only when somebody asks.

A session leaves its note when its transaction begins; what is taken by other means is noted by the pool. Nothing is
noted when a connection comes back, and no frame, session or context is kept.
"""

from __future__ import annotations

import threading
import weakref
from asyncio import _get_running_loop, current_task
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy.orm import Session
from sqlalchemy.orm.session import _sessions
from sqlalchemy.pool import Pool, PoolProxiedConnection

from .forks import alive
from .ledger import Ledger, Origin, Rules
from .places import Place
from .sharing import is_left

__all__ = [
    "Hold",
    "Keeper",
    "Note",
    "Register",
    "in_sessions",
    "is_out",
    "number_of_own",
    "take_note",
    "this_thread",
]


class Keeper:
    """A thread, or a greenlet where gevent has replaced threads; it is gone when its thread is."""

    __slots__ = ("__weakref__", "ident", "name")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.name = threading.current_thread().name


class _ThisThread(threading.local):
    def __init__(self) -> None:
        self._keeper = Keeper()
        self.keeper = weakref.ref(self._keeper)


this_thread = _ThisThread()


class Note(NamedTuple):
    """Where, by which thread and task, and when a connection was taken: a monotonic time in seconds."""

    place: Place
    keeper: weakref.ref[Any]
    task: weakref.ref[Any] | None
    since: float


def take_note(place: Place) -> Note:
    """By whom and when a connection is taken, at *place*."""
    loop = _get_running_loop()
    task = None if loop is None else current_task(loop)
    values = (place, this_thread.keeper, None if task is None else weakref.ref(task), monotonic())
    return tuple.__new__(Note, values)  # half the price of Note(…)


@dataclass(frozen=True)
class Hold:
    """One connection that is out. It keeps it from being collected, and is to be let go soon.

    Attributes:
        lent: What was taken from the pool.
        note: Where, by whom and when.
        origin: The context and the request that it was taken in.
        rules: The settings of its app.
        session: The guarded session that it belongs to, with its record; None if it was taken by other means.
    """

    lent: PoolProxiedConnection
    note: Note
    origin: Origin
    rules: Rules
    session: Session | None = None
    ledger: Ledger | None = None

    @property
    def place(self) -> Place:
        """The line that took it."""
        return self.note.place

    @property
    def keeper(self) -> Keeper | None:
        """The thread that took it; None if that has ended."""
        keeper: Keeper | None = self.note.keeper()
        return keeper

    @property
    def is_handed_on(self) -> bool:
        """Whether the session belongs to another thread than the one that took the connection."""
        return self.ledger is not None and self.ledger.giver is not None

    @property
    def is_orphaned(self) -> bool:
        """Whether the thread that took it has ended, and nobody else goes on with its session, such as a stream's."""
        if self.keeper is not None or self.is_handed_on:
            return False
        return self.ledger is None or is_left(self.ledger)

    @property
    def context(self) -> str | None:
        """The request or context that it was taken in, in words."""
        return self.rules.describe(self.origin)

    @property
    def task(self) -> str | None:
        """The name of the asyncio task that took it."""
        reference = self.note.task
        task = None if reference is None else reference()
        return None if task is None else task.get_name()

    @property
    def since(self) -> float:
        """When that was, by the monotonic clock, in seconds."""
        return self.note.since


class Register:
    """What was taken from one pool by other means than a guarded session."""

    def __init__(self) -> None:
        self._notes: dict[weakref.ref[Any], tuple[Note, Origin]] = {}

    def add(self, lent: Any, note: Note, origin: Origin) -> None:
        """Note who took *lent*; the note is lost with it."""
        self._notes[weakref.ref(lent, self._notes.pop)] = note, origin

    def holds(self, rules: Rules, context: object = None) -> Iterator[Hold]:
        """What is out; arguments have the same meaning as for :func:`in_sessions`."""
        for reference, (note, origin) in list(self._notes.items()):
            if context is not None and not origin.is_in(context):
                continue
            lent = reference()
            if lent is not None and is_out(lent):
                yield Hold(lent, note, origin, rules)


def _with_notes() -> list[tuple[Session, Ledger]]:
    """The guarded sessions that have taken a connection; for the idle ones of other threads nothing is called."""
    return [
        (session, ledger)
        for session in alive(_sessions)
        if (ledger := getattr(session, "_safesession_ledger", None)) is not None and ledger.notes
    ]


def number_of_own(pool: Pool) -> int:
    """How many connections of *pool* guarded sessions of this thread hold, which no other thread may use."""
    keeper = this_thread.keeper
    own = {
        id(lent)
        for _, ledger in _with_notes()
        for connection, note in list(ledger.notes.items())
        if note.keeper is keeper and note.task is None and ledger.giver is None
        if connection.engine.pool is pool
        if (lent := ledger.connections.get(connection)) is not None and is_out(lent)
    }
    return len(own)


def in_sessions(pool: Pool, rules: Rules, context: object = None) -> Iterator[Hold]:
    """What guarded sessions have taken from *pool*.

    Args:
        pool: The pool.
        rules: Those of the app.
        context: Only what was taken in this application context; all if None.
    """
    for session, ledger in _with_notes():
        if context is not None and not ledger.origin.is_in(context):
            continue
        for connection, note in list(ledger.notes.items()):
            lent = ledger.connections.get(connection)
            if lent is not None and connection.engine.pool is pool and is_out(lent):
                yield Hold(lent, note, ledger.origin, rules, session, ledger)


def is_out(lent: PoolProxiedConnection) -> bool:
    """Whether *lent* has neither come back to its pool nor been taken out of it for good."""
    return lent.is_valid and not lent.is_detached
