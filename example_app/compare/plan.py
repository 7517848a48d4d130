"""What is done: units of work with the faults that really happen, and what has to be left of each.

The faults are in the data and in the way a unit is run, so that both sides are ordinary application
code that knows nothing of them.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

SEED = 607
ROWS = {"batch": 1, "line": 3, "trail": 1}
ROWS_PER_UNIT = sum(ROWS.values())
TAKEN_TAG = "taken"
POOL = "compare.pool"
KNOWN_BADGE, UNKNOWN_BADGE = 1, 999
LIMIT = 8
FAULTY_SHARE = 0.06
MOST_LEAKS = 10
"""Fewer than a default pool has (5 + 10): the next thread would find none, and wait for 30 s."""


class Fault(enum.Enum):
    """What goes wrong in a unit."""

    NONE = "none"
    FAILING_INSERT = "failing insert in the middle"
    EARLY_COMMIT = "service that commits too early"
    SWALLOWED_ERROR = "swallowed error"
    AFTER_FLUSH = "exception after flush"
    FAILING_COMMIT = "failing COMMIT"
    LEAKING_THREAD = "thread that forgets to close"
    FORGOTTEN_CONTEXT = "forgotten app context in a thread"
    OUTLIVING_JOB = "job that outlives its request"
    HANDED_OBJECT = "ORM object handed to a thread"
    EARLY_MESSAGE = "job enqueued before its commit"


class Route(enum.Enum):
    """How a unit reaches the application; the lower ones answer at once and go on behind it."""

    REQUEST = "request"
    JOB = "job"
    THREAD = "thread"
    POOL = "pool"
    TARIFF = "tariff"
    LINES = "lines"
    QUEUE = "queue"


ROUTES = {
    Fault.AFTER_FLUSH: Route.JOB,
    Fault.LEAKING_THREAD: Route.THREAD,
    Fault.FORGOTTEN_CONTEXT: Route.POOL,
    Fault.OUTLIVING_JOB: Route.TARIFF,
    Fault.HANDED_OBJECT: Route.LINES,
    Fault.EARLY_MESSAGE: Route.QUEUE,
}
"""Where the way of a unit is the fault; all others come as requests."""

UNDONE = frozenset(
    {Fault.FAILING_INSERT, Fault.EARLY_COMMIT, Fault.AFTER_FLUSH, Fault.FAILING_COMMIT}
)
"""The faults after which nothing of a unit may be there; after the others, the whole of it."""


@dataclass(frozen=True)
class Unit:
    """One unit of work: a batch with three lines and a trail entry.

    A position that occurs twice violates a unique constraint; a tag that is taken does so in a
    step whose failure does not matter; an unknown badge makes the COMMIT fail; headcount above the
    limit is found last.
    """

    number: int
    positions: tuple[int, ...] = (1, 2, 3)
    tag: str = ""
    badge: int = KNOWN_BADGE
    headcount: int = LIMIT

    def as_json(self) -> dict[str, object]:
        """Return the body of the request."""
        return asdict(self)


@dataclass(frozen=True)
class Group:
    """Units that are run together: one request, one thread, or one job with several units."""

    route: Route
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Plan:
    """All groups in order, and the fault of each unit."""

    groups: tuple[Group, ...]
    faults: dict[int, Fault]

    def expected_rows(self, number: int) -> dict[str, int]:
        """Return how many rows of each table the unit has to leave behind."""
        stored = number in self.faults and self.faults[number] not in UNDONE
        return ROWS if stored else dict.fromkeys(ROWS, 0)


def make_plan(units: int, *, deferred_constraints: bool = True, seed: int = SEED) -> Plan:
    """Spread the faults over *units* units, the same way for the same *seed*.

    Without *deferred_constraints* (MariaDB) no COMMIT can be made to fail; that fault is left out.
    """
    order = _faults(units, deferred_constraints=deferred_constraints)
    random.Random(seed).shuffle(order)
    return Plan(tuple(_groups(order)), dict(enumerate(_with_partners(order))))


def _faults(units: int, *, deferred_constraints: bool) -> list[Fault]:
    share = max(1, round(units * FAULTY_SHARE))
    counts = dict.fromkeys(Fault, share)
    counts[Fault.LEAKING_THREAD] = max(1, min(MOST_LEAKS, units // 200))
    counts[Fault.FAILING_COMMIT] = share if deferred_constraints else 0
    faulty = [f for f in Fault if f is not Fault.NONE for _ in range(counts[f])]
    partners = counts[Fault.AFTER_FLUSH]
    return faulty + [Fault.NONE] * max(0, units - partners - len(faulty))


def _with_partners(order: Sequence[Fault]) -> Iterator[Fault]:
    """After an exception in a job comes the job's next unit, which is in order."""
    for fault in order:
        yield fault
        if fault is Fault.AFTER_FLUSH:
            yield Fault.NONE


def _groups(order: Sequence[Fault]) -> Iterator[Group]:
    number = 0
    for fault in order:
        faults = (fault, Fault.NONE) if fault is Fault.AFTER_FLUSH else (fault,)
        units = tuple(make_unit(number + at, each) for at, each in enumerate(faults))
        yield Group(ROUTES.get(fault, Route.REQUEST), units)
        number += len(units)


def make_unit(number: int, fault: Fault) -> Unit:
    """Return a unit whose data have *fault*."""
    over_limit = fault in (Fault.EARLY_COMMIT, Fault.AFTER_FLUSH)
    return Unit(
        number=number,
        positions=(1, 2, 2) if fault is Fault.FAILING_INSERT else (1, 2, 3),
        tag=TAKEN_TAG if fault is Fault.SWALLOWED_ERROR else f"tag-{number}",
        badge=UNKNOWN_BADGE if fault is Fault.FAILING_COMMIT else KNOWN_BADGE,
        headcount=LIMIT + 1 if over_limit else LIMIT,
    )
