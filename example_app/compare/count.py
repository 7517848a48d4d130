"""Count what is in the database, over a connection that belongs to neither side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import NullPool, create_engine, func, select

from .driver import Side, connections_out
from .plan import ROWS, ROWS_PER_UNIT, Fault, Plan

Counts = Mapping[tuple[int, str], int]


@dataclass(frozen=True)
class Tally:
    """What the database holds and should not, or should and does not; rows, units, connections."""

    unwanted: int = 0
    lost: int = 0
    partial: int = 0
    wrong_units: Mapping[Fault, int] | None = None


@dataclass(frozen=True)
class Result:
    """One side's figures; *seconds* is wall time."""

    title: str
    tally: Tally
    connections: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether every row is right and every connection is back."""
        return self.tally.unwanted == self.tally.lost == self.connections == 0


def measure(side: Side, plan: Plan, seconds: float) -> Result:
    """Ask the pool and the database how the run ended."""
    out = connections_out(side)
    return Result(side.title, tally(plan, count_rows(side)), out, seconds)


def count_rows(side: Side) -> Counts:
    """Return the number of rows of each unit in each table."""
    engine = create_engine(side.engine.url, poolclass=NullPool)
    found: Counter[tuple[int, str]] = Counter()
    with engine.connect() as connection:
        for name in ROWS:
            unit = side.table(name).c.unit
            for number, rows in connection.execute(select(unit, func.count()).group_by(unit)):
                found[number, name] = rows
    return found


def tally(plan: Plan, counts: Counts) -> Tally:
    """Compare the rows that are there with those that have to be there."""
    unwanted = lost = partial = 0
    wrong: Counter[Fault] = Counter()
    for number in plan.faults.keys() | {number for number, _ in counts}:
        expected = plan.expected_rows(number)
        differences = [counts.get((number, name), 0) - rows for name, rows in expected.items()]
        present = sum(counts.get((number, name), 0) for name in ROWS)
        unwanted += sum(max(0, d) for d in differences)
        lost += sum(max(0, -d) for d in differences)
        partial += 0 < present < ROWS_PER_UNIT
        wrong[plan.faults.get(number, Fault.NONE)] += any(differences)
    return Tally(unwanted, lost, partial, dict(wrong))
