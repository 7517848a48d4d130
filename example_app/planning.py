"""What is planned, and the plan, as plain values: they know no file, no solver and no database."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shift:
    """A kind of shift: its length in minutes and the shifts that may not come on the next day."""

    code: str
    minutes: int
    not_followed_by: frozenset[str]


@dataclass(frozen=True)
class Staff:
    """An employee with the limits of the contract; minutes count over the whole horizon."""

    code: str
    max_shifts: tuple[tuple[str, int], ...]
    max_minutes: int
    min_minutes: int
    max_consecutive: int
    min_consecutive: int
    min_days_off: int
    max_weekends: int
    days_off: frozenset[int] = field(default=frozenset(), kw_only=True)


@dataclass(frozen=True)
class Request:
    """A wish to work, or not to work, a shift on a day; *weight* is the cost of not granting it."""

    employee: str
    day: int
    shift: str
    weight: int


@dataclass(frozen=True)
class Cover:
    """How many people a shift needs on a day, and the cost of each one too few or too many."""

    day: int
    shift: str
    required: int
    under_weight: int
    over_weight: int


@dataclass(frozen=True)
class Instance:
    """One roster to plan: days ``0 .. horizon - 1``, of which day 0 is a Monday."""

    name: str
    horizon: int
    shifts: tuple[Shift, ...]
    staff: tuple[Staff, ...]
    on_requests: tuple[Request, ...]
    off_requests: tuple[Request, ...]
    cover: tuple[Cover, ...]

    @property
    def weekends(self) -> tuple[tuple[int, ...], ...]:
        """Saturday and Sunday of each week, as far as they lie inside the horizon."""
        starts = range(5, self.horizon, 7)
        return tuple(tuple(d for d in (s, s + 1) if d < self.horizon) for s in starts)


@dataclass(frozen=True, order=True)
class Assignment:
    """One employee works one shift on one day."""

    employee: str
    day: int
    shift: str


@dataclass(frozen=True)
class Solution:
    """A roster and its cost; *proven* says that no cheaper one exists. *seconds* is wall time."""

    assignments: tuple[Assignment, ...]
    objective: int
    bound: int
    proven: bool
    seconds: float
