"""Check a finished roster against the rules and add up what it costs; knows no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise

from .planning import Assignment, Cover, Instance, Request, Staff

Plan = dict[tuple[str, int], str]


def plan_of(assignments: Iterable[Assignment]) -> Plan:
    """Return the shift of each employee and day."""
    return {(a.employee, a.day): a.shift for a in assignments}


def breaches(instance: Instance, plan: Plan) -> list[str]:
    """Return one sentence for each rule that *plan* breaks; an empty list for a valid plan."""
    return [
        f"{person.code}: {text}"
        for person in instance.staff
        for check in _CHECKS
        for text in check(instance, person, _row(instance, plan, person))
    ]


def unmet_requests(instance: Instance, plan: Plan) -> list[Request]:
    """Return the requests that *plan* does not grant."""

    def works(request: Request) -> bool:
        return plan.get((request.employee, request.day)) == request.shift

    refused = [r for r in instance.on_requests if not works(r)]
    return refused + [r for r in instance.off_requests if works(r)]


def cost(instance: Instance, plan: Plan) -> int:
    """Return what requests not granted and wrong cover cost together."""
    present = Counter((day, shift) for (_, day), shift in plan.items())
    cover = sum(_cover_cost(need, present[need.day, need.shift]) for need in instance.cover)
    return cover + sum(request.weight for request in unmet_requests(instance, plan))


def _cover_cost(need: Cover, present: int) -> int:
    under, over = max(0, need.required - present), max(0, present - need.required)
    return need.under_weight * under + need.over_weight * over


Row = list[str | None]


def _row(instance: Instance, plan: Plan, person: Staff) -> Row:
    return [plan.get((person.code, day)) for day in range(instance.horizon)]


def _days_off(_: Instance, person: Staff, row: Row) -> Iterator[str]:
    for day in sorted(person.days_off):
        if row[day]:
            yield f"works {row[day]} on day {day}, which is a day off"


def _shift_limits(_: Instance, person: Staff, row: Row) -> Iterator[str]:
    for code, maximum in person.max_shifts:
        if row.count(code) > maximum:
            yield f"{row.count(code)} shifts {code}, at most {maximum}"


def _minutes(instance: Instance, person: Staff, row: Row) -> Iterator[str]:
    length = {shift.code: shift.minutes for shift in instance.shifts}
    total = sum(length[code] for code in row if code)
    if not person.min_minutes <= total <= person.max_minutes:
        yield f"{total} minutes, not between {person.min_minutes} and {person.max_minutes}"


def _follow_ons(instance: Instance, _: Staff, row: Row) -> Iterator[str]:
    forbidden = {(s.code, other) for s in instance.shifts for other in s.not_followed_by}
    for day, pair in enumerate(pairwise(row)):
        if pair in forbidden:
            yield f"{pair[1]} on day {day + 1} after {pair[0]} the day before"


def _runs(_: Instance, person: Staff, row: Row) -> Iterator[str]:
    start = 0
    for working, days in groupby(row, key=bool):
        length = len(list(days))
        at_border = start == 0 or start + length == len(row)
        least = person.min_consecutive if working else person.min_days_off
        what = "shifts" if working else "days off"
        if working and length > person.max_consecutive:
            yield f"{length} shifts in a row from day {start}, at most {person.max_consecutive}"
        if length < least and not at_border:
            yield f"only {length} {what} in a row from day {start}, at least {least}"
        start += length


def _weekends(instance: Instance, person: Staff, row: Row) -> Iterator[str]:
    worked = sum(any(row[day] for day in weekend) for weekend in instance.weekends)
    if worked > person.max_weekends:
        yield f"{worked} weekends, at most {person.max_weekends}"


_CHECKS = (_days_off, _shift_limits, _minutes, _follow_ons, _runs, _weekends)
