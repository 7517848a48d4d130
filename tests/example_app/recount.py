"""Read a roster file and judge a solution in the plainest way, without the example app's code."""

from __future__ import annotations

from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple


class Shift(NamedTuple):
    """Who works when: the same three values as the solver's, read by nothing but this module."""

    employee: str
    day: int
    shift: str


Sections = dict[str, list[list[str]]]


def read(path: Path) -> Sections:
    """Return the fields of each line of each section."""
    sections: Sections = {}
    current: list[list[str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("SECTION_"):
            current = sections.setdefault(line.strip(), [])
        elif line.strip() and not line.startswith("#"):
            current.append(line.strip().split(","))
    return sections


def objective(sections: Sections, shifts: set[Shift]) -> int:
    """Add up the weights of requests not granted and of wrong cover."""
    total = 0
    for who, day, shift, weight in sections["SECTION_SHIFT_ON_REQUESTS"]:
        total += int(weight) * (Shift(who, int(day), shift) not in shifts)
    for who, day, shift, weight in sections["SECTION_SHIFT_OFF_REQUESTS"]:
        total += int(weight) * (Shift(who, int(day), shift) in shifts)
    for day, shift, required, under, over in sections["SECTION_COVER"]:
        surplus = sum(s.day == int(day) and s.shift == shift for s in shifts) - int(required)
        total += surplus * int(over) if surplus > 0 else -surplus * int(under)
    return total


def broken_rules(sections: Sections, shifts: set[Shift]) -> list[str]:
    """Name each rule that is broken, and by whom."""
    horizon = int(sections["SECTION_HORIZON"][0][0])
    off = {(who, int(day)) for who, *days in sections["SECTION_DAYS_OFF"] for day in days}
    broken = [f"day off of {s.employee}" for s in shifts if (s.employee, s.day) in off]
    for fields in sections["SECTION_STAFF"]:
        row = [
            [s.shift for s in shifts if s.employee == fields[0] and s.day == day]
            for day in range(horizon)
        ]
        broken += [f"{rule} of {fields[0]}" for rule in _broken(sections, fields, row)]
    return broken


def _broken(sections: Sections, fields: list[str], row: list[list[str]]) -> list[str]:
    _, limits, most, least, longest, shortest, rest, weekends = fields
    minutes = {code: int(length) for code, length, *_ in sections["SECTION_SHIFTS"]}
    worked = [shift for day in row for shift in day]
    work, free = _runs(row, working=True), _runs(row, working=False)
    busy = [any(row[day : day + 2]) for day in range(5, len(row), 7)]
    checks = {
        "one shift a day": all(len(day) <= 1 for day in row),
        "shift limits": all(
            worked.count(code) <= int(limit)
            for code, limit in (part.split("=") for part in limits.split("|"))
        ),
        "minutes": int(least) <= sum(minutes[s] for s in worked) <= int(most),
        "longest run": all(length <= int(longest) for length, _ in work),
        "shortest run": all(length >= int(shortest) for length, inner in work if inner),
        "days off in a row": all(length >= int(rest) for length, inner in free if inner),
        "weekends": sum(busy) <= int(weekends),
        "order of shifts": not _forbidden(sections, row),
    }
    return [name for name, kept in checks.items() if not kept]


def _runs(row: list[list[str]], *, working: bool) -> list[tuple[int, bool]]:
    """Return the length of each run, and whether it lies between two others."""
    runs = [(bool(key), len(list(days))) for key, days in groupby(row, key=bool)]
    last = len(runs) - 1
    return [(n, 0 < i < last) for i, (kind, n) in enumerate(runs) if kind == working]


def _forbidden(sections: Sections, row: list[list[str]]) -> bool:
    after = {code: "".join(rest).split("|") for code, _, *rest in sections["SECTION_SHIFTS"]}
    return any(
        next_ in after[shift] for today, then in pairwise(row) for shift in today for next_ in then
    )
