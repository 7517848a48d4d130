"""Turn a parsed roster into rows and rows back into what the solver reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from .models import (
    CoverRequirement,
    DayOff,
    Employee,
    Roster,
    Schedule,
    ShiftAssignment,
    ShiftLimit,
    ShiftRequest,
    ShiftType,
    Wish,
)
from .planning import Assignment, Cover, Instance, Request, Shift, Staff

Types = dict[str, ShiftType]


def digest(instance: Instance) -> str:
    """Return a fingerprint of the content, whatever the roster is called."""
    content = repr({**vars(instance), "name": "", "staff": [_stable(p) for p in instance.staff]})
    return hashlib.sha256(content.encode()).hexdigest()


def _stable(person: Staff) -> dict[str, object]:
    return {**vars(person), "days_off": sorted(person.days_off)}


def new_roster(instance: Instance, name: str) -> Roster:
    """Return the rows of *instance*, not yet added to a session."""
    types = {s.code: ShiftType(code=s.code, minutes=s.minutes) for s in instance.shifts}
    for shift in instance.shifts:
        types[shift.code].not_followed_by = [types[c] for c in sorted(shift.not_followed_by)]
    people = {p.code: _new_employee(p, types) for p in instance.staff}
    for wish, requests in ((Wish.ON, instance.on_requests), (Wish.OFF, instance.off_requests)):
        for request in requests:
            people[request.employee].requests.append(_new_request(request, wish, types))
    return Roster(
        name=name,
        horizon=instance.horizon,
        digest=digest(instance),
        shifts=list(types.values()),
        employees=list(people.values()),
        cover=[_new_cover(need, types) for need in instance.cover],
    )


def _new_employee(person: Staff, types: Types) -> Employee:
    return Employee(
        code=person.code,
        max_minutes=person.max_minutes,
        min_minutes=person.min_minutes,
        max_consecutive=person.max_consecutive,
        min_consecutive=person.min_consecutive,
        min_days_off=person.min_days_off,
        max_weekends=person.max_weekends,
        limits=[ShiftLimit(shift=types[code], maximum=most) for code, most in person.max_shifts],
        days_off=[DayOff(day=day) for day in sorted(person.days_off)],
    )


def _new_request(request: Request, wish: Wish, types: Types) -> ShiftRequest:
    shift = types[request.shift]
    return ShiftRequest(shift=shift, day=request.day, wish=wish, weight=request.weight)


def _new_cover(need: Cover, types: Types) -> CoverRequirement:
    return CoverRequirement(
        shift=types[need.shift],
        day=need.day,
        required=need.required,
        under_weight=need.under_weight,
        over_weight=need.over_weight,
    )


def to_instance(roster: Roster) -> Instance:
    """Return what the solver reads: plain values, usable after the session is gone."""
    return Instance(
        name=roster.name,
        horizon=roster.horizon,
        shifts=tuple(_shift(s) for s in roster.shifts),
        staff=tuple(_staff(e) for e in roster.employees),
        on_requests=_requests(roster, Wish.ON),
        off_requests=_requests(roster, Wish.OFF),
        cover=tuple(_cover(c) for c in roster.cover),
    )


def _shift(shift: ShiftType) -> Shift:
    return Shift(shift.code, shift.minutes, frozenset(s.code for s in shift.not_followed_by))


def _staff(employee: Employee) -> Staff:
    return Staff(
        code=employee.code,
        max_shifts=tuple((limit.shift.code, limit.maximum) for limit in employee.limits),
        max_minutes=employee.max_minutes,
        min_minutes=employee.min_minutes,
        max_consecutive=employee.max_consecutive,
        min_consecutive=employee.min_consecutive,
        min_days_off=employee.min_days_off,
        max_weekends=employee.max_weekends,
        days_off=frozenset(off.day for off in employee.days_off),
    )


def _requests(roster: Roster, wish: Wish) -> tuple[Request, ...]:
    return tuple(
        Request(employee.code, request.day, request.shift.code, request.weight)
        for employee in roster.employees
        for request in employee.requests
        if request.wish is wish
    )


def _cover(need: CoverRequirement) -> Cover:
    return Cover(need.day, need.shift.code, need.required, need.under_weight, need.over_weight)


def assignments_of(schedule: Schedule) -> list[Assignment]:
    """Return who works when, as plain values."""
    return [Assignment(a.employee.code, a.day, a.shift.code) for a in schedule.assignments]


def new_assignments(roster: Roster, plan: Iterable[Assignment]) -> list[ShiftAssignment]:
    """Return the rows of *plan* for the people and shifts of *roster*, not yet added."""
    people = {employee.code: employee for employee in roster.employees}
    types = {shift.code: shift for shift in roster.shifts}
    return [
        ShiftAssignment(employee=people[a.employee], shift=types[a.shift], day=a.day) for a in plan
    ]
