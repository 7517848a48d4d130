"""The roster as a table of plain values, for the terminal and for the web page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from . import rules, storage
from .models import Schedule
from .planning import Instance, Staff

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")


@dataclass(frozen=True)
class Cell:
    """One employee on one day: the shift, or "" for none, and what to notice about it."""

    day: int
    shift: str
    day_off: bool
    unmet: bool


@dataclass(frozen=True)
class CoverCell:
    """How many work a shift on a day, and how many should; None where nothing is asked for."""

    present: int
    required: int | None

    @property
    def short(self) -> bool:
        """Whether somebody is missing."""
        return self.required is not None and self.present < self.required


@dataclass(frozen=True)
class Grid:
    """A schedule, ready to be shown."""

    title: str
    status: str
    days: tuple[tuple[int, str], ...]
    shifts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    cover: tuple[tuple[str, tuple[CoverCell, ...]], ...]
    cost: int
    breaches: tuple[str, ...]


def grid_of(schedule: Schedule) -> Grid:
    """Read *schedule* and its roster; nothing in the result needs the session."""
    instance = storage.to_instance(schedule.roster)
    plan = rules.plan_of(storage.assignments_of(schedule))
    return Grid(
        title=f"{schedule.roster.name}, schedule {schedule.number}",
        status=schedule.status.value,
        days=tuple((day, WEEKDAYS[day % 7]) for day in range(instance.horizon)),
        shifts=tuple(shift.code for shift in instance.shifts),
        rows=tuple((p.code, _cells(instance, p, plan)) for p in instance.staff),
        cover=tuple((s.code, _cover(instance, s.code, plan)) for s in instance.shifts),
        cost=rules.cost(instance, plan),
        breaches=tuple(rules.breaches(instance, plan)),
    )


def _cells(instance: Instance, person: Staff, plan: rules.Plan) -> tuple[Cell, ...]:
    unmet = {r.day for r in rules.unmet_requests(instance, plan) if r.employee == person.code}
    return tuple(
        Cell(day, plan.get((person.code, day), ""), day in person.days_off, day in unmet)
        for day in range(instance.horizon)
    )


def _cover(instance: Instance, shift: str, plan: rules.Plan) -> tuple[CoverCell, ...]:
    present = Counter(day for (_, day), code in plan.items() if code == shift)
    required = {need.day: need.required for need in instance.cover if need.shift == shift}
    return tuple(CoverCell(present[day], required.get(day)) for day in range(instance.horizon))
