"""Read rosters in the published employee-shift-scheduling text format.

The format is that of the "Employee Shift Scheduling" instances of Curtois and Qu
(https://www.schedulingbenchmarks.org/nrp/): sections that start with ``SECTION_...``, one record
per line, fields separated by commas, comments behind ``#``. All horizons start on a Monday.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from .planning import Cover, Instance, Request, Shift, Staff

FORMS = {
    "SECTION_HORIZON": "the number of days, such as '14'",
    "SECTION_SHIFTS": "ShiftID,Minutes,ShiftsThatCannotFollow, such as 'L,480,E|D'",
    "SECTION_STAFF": (
        "ID,MaxShifts,MaxTotalMinutes,MinTotalMinutes,MaxConsecutiveShifts,MinConsecutiveShifts,"
        "MinConsecutiveDaysOff,MaxWeekends, such as 'A,E=14|L=7,4320,3360,5,2,2,1'"
    ),
    "SECTION_DAYS_OFF": "EmployeeID,Day[,Day...], such as 'A,0,7'",
    "SECTION_SHIFT_ON_REQUESTS": "EmployeeID,Day,ShiftID,Weight, such as 'A,2,E,3'",
    "SECTION_SHIFT_OFF_REQUESTS": "EmployeeID,Day,ShiftID,Weight, such as 'A,2,E,3'",
    "SECTION_COVER": "Day,ShiftID,Required,WeightUnder,WeightOver, such as '0,E,5,100,1'",
}
REQUIRED_SECTIONS = ("SECTION_HORIZON", "SECTION_SHIFTS", "SECTION_STAFF", "SECTION_COVER")
LONGEST_HORIZON = 366
LONGEST_CODE = 40
LARGEST_NUMBER = 1_000_000


class InstanceError(ValueError):
    """A roster file that cannot be read: the file, the line, its text and what was expected."""

    def __init__(
        self, source: str, problem: str, expected: str, *, line: int = 0, text: str = ""
    ) -> None:
        """Build the message from its parts; *line* is 0 where the file as a whole is meant."""
        self.source, self.problem, self.expected = source, problem, expected
        self.line, self.text = line, text
        place = f"{source}, line {line}: {text!r}: " if line else f"{source}: "
        super().__init__(f"{place}{problem}. Expected: {expected}.")


@dataclass(frozen=True)
class _Line:
    """One line of the file, which knows how to complain about itself."""

    source: str
    number: int
    text: str
    section: str

    def fail(self, problem: str, expected: str | None = None) -> NoReturn:
        wanted = expected or FORMS[self.section]
        raise InstanceError(self.source, problem, wanted, line=self.number, text=self.text)

    def fields(self, *counts: int) -> list[str]:
        parts = [part.strip() for part in self.text.split(",")]
        if len(parts) not in counts:
            self.fail(f"{len(parts)} fields instead of {' or '.join(map(str, counts))}")
        return parts

    def number_of(self, value: str, what: str, least: int = 0, most: int = LARGEST_NUMBER) -> int:
        if not (value.isascii() and value.isdigit()):
            self.fail(f"{what} is {value!r}, not a whole number")
        if len(value) > len(str(most)) or not least <= int(value) <= most:
            self.fail(f"{what} is {value}, not between {least} and {most}")
        return int(value)

    def new_code(self, value: str, what: str, known: Iterable[str]) -> str:
        if not value or len(value) > LONGEST_CODE:
            self.fail(f"{what} has {len(value)} characters, not between 1 and {LONGEST_CODE}")
        if value in known:
            self.fail(f"{what} {value!r} is there already")
        return value

    def known_code(self, value: str, what: str, known: Iterable[str], section: str) -> str:
        if value not in known:
            self.fail(f"{what} {value!r} is not in {section} above")
        return value


@dataclass
class _Builder:
    """What has been read so far."""

    horizon: int = 0
    shifts: dict[str, Shift] = field(default_factory=dict)
    staff: dict[str, Staff] = field(default_factory=dict)
    days_off: dict[str, set[int]] = field(default_factory=dict)
    requests: dict[str, dict[tuple[str, int, str], Request]] = field(default_factory=dict)
    cover: dict[tuple[int, str], Cover] = field(default_factory=dict)
    shift_lines: list[_Line] = field(default_factory=list)

    def day(self, line: _Line, value: str) -> int:
        if not self.horizon:
            line.fail("a day before the horizon is known", "SECTION_HORIZON above this section")
        return line.number_of(value, "the day", 0, self.horizon - 1)

    def shift(self, line: _Line, value: str) -> str:
        return line.known_code(value, "the shift", self.shifts, "SECTION_SHIFTS")

    def employee(self, line: _Line, value: str) -> str:
        return line.known_code(value, "the employee", self.staff, "SECTION_STAFF")


def _horizon(built: _Builder, line: _Line) -> None:
    if built.horizon:
        line.fail("a second horizon")
    (value,) = line.fields(1)
    built.horizon = line.number_of(value, "the horizon", 1, LONGEST_HORIZON)


def _shift(built: _Builder, line: _Line) -> None:
    code, minutes, *followers = line.fields(2, 3)
    line.new_code(code, "the shift", built.shifts)
    forbidden = frozenset(c.strip() for c in "".join(followers).split("|") if c.strip())
    length = line.number_of(minutes, "the length in minutes", 1, 24 * 60)
    built.shifts[code] = Shift(code, length, forbidden)
    built.shift_lines.append(line)


def _max_shifts(built: _Builder, line: _Line, text: str) -> tuple[tuple[str, int], ...]:
    limits: dict[str, int] = {}
    for part in filter(None, text.split("|")):
        code, equals, maximum = (piece.strip() for piece in part.partition("="))
        if not equals:
            line.fail(f"the shift limit {part!r} has no '='")
        line.new_code(built.shift(line, code), "the limit of shift", limits)
        limits[code] = line.number_of(maximum, f"the limit of shift {code!r}")
    return tuple(limits.items())


def _staff(built: _Builder, line: _Line) -> None:
    code, limits, *numbers = line.fields(8)
    line.new_code(code, "the employee", built.staff)
    names = FORMS["SECTION_STAFF"].split(", such as")[0].split(",")[2:]
    values = [line.number_of(v, name) for v, name in zip(numbers, names, strict=True)]
    person = Staff(code, _max_shifts(built, line, limits), *values)
    if person.min_minutes > person.max_minutes:
        line.fail(f"MinTotalMinutes {person.min_minutes} is more than MaxTotalMinutes")
    if person.min_consecutive > person.max_consecutive:
        line.fail(
            f"MinConsecutiveShifts {person.min_consecutive} is more than MaxConsecutiveShifts"
        )
    built.staff[code] = person


def _days_off(built: _Builder, line: _Line) -> None:
    code, *days = (part.strip() for part in line.text.split(","))
    if not days:
        line.fail("no day behind the employee")
    built.employee(line, code)
    built.days_off.setdefault(code, set()).update(built.day(line, day) for day in days)


def _request(built: _Builder, line: _Line) -> None:
    code, day, shift, weight = line.fields(4)
    key = (built.employee(line, code), built.day(line, day), built.shift(line, shift))
    known = built.requests.setdefault(line.section, {})
    if key in known:
        line.fail(f"a second request of {code!r} for the same day and shift")
    known[key] = Request(*key, line.number_of(weight, "the weight"))


def _cover(built: _Builder, line: _Line) -> None:
    day, shift, *numbers = line.fields(5)
    key = (built.day(line, day), built.shift(line, shift))
    if key in built.cover:
        line.fail(f"a second cover line for day {day} and shift {shift!r}")
    names = ("the requirement", "the weight for under", "the weight for over")
    values = [line.number_of(v, name) for v, name in zip(numbers, names, strict=True)]
    built.cover[key] = Cover(*key, *values)


_READERS: dict[str, Callable[[_Builder, _Line], None]] = {
    "SECTION_HORIZON": _horizon,
    "SECTION_SHIFTS": _shift,
    "SECTION_STAFF": _staff,
    "SECTION_DAYS_OFF": _days_off,
    "SECTION_SHIFT_ON_REQUESTS": _request,
    "SECTION_SHIFT_OFF_REQUESTS": _request,
    "SECTION_COVER": _cover,
}


def parse_instance(text: str, *, source: str, name: str | None = None) -> Instance:
    """Read a roster from *text*; *source* is what error messages call the file.

    Raises:
        InstanceError: If a line is broken; nothing is returned then.
    """
    built = _Builder()
    section, seen = "", list[str]()
    for number, raw in enumerate(text.splitlines(), start=1):
        content = raw.partition("#")[0].strip()
        line = _Line(source, number, content, section)
        if content.startswith("SECTION_"):
            section = _open_section(line, seen)
        elif content:
            _read(built, line)
    _check_sections(built, source, seen)
    return _finish(built, name or Path(source).stem)


def load_instance(path: str | Path, *, name: str | None = None) -> Instance:
    """Read a roster file; arguments and errors have the same meaning as for `parse_instance`."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise InstanceError(str(path), f"it cannot be read ({reason})", "a readable file") from exc
    except UnicodeDecodeError as exc:
        problem = f"it is not UTF-8 text (byte {exc.start})"
        raise InstanceError(str(path), problem, "a roster file in UTF-8") from exc
    return parse_instance(text, source=str(path), name=name or file.stem)


def _open_section(line: _Line, seen: list[str]) -> str:
    if line.text not in _READERS:
        line.fail("an unknown section", "one of " + ", ".join(_READERS))
    if line.text in seen:
        line.fail("a section that was there already", "each section once")
    seen.append(line.text)
    return line.text


def _read(built: _Builder, line: _Line) -> None:
    if not line.section:
        line.fail("data before the first section", "a line such as 'SECTION_HORIZON' first")
    _READERS[line.section](built, line)


def _check_sections(built: _Builder, source: str, seen: list[str]) -> None:
    filled = {
        "SECTION_HORIZON": built.horizon,
        "SECTION_SHIFTS": built.shifts,
        "SECTION_STAFF": built.staff,
        "SECTION_COVER": built.cover,
    }
    for section in REQUIRED_SECTIONS:
        if not filled[section]:
            state = "is empty" if section in seen else "is missing"
            raise InstanceError(source, f"{section} {state}", FORMS[section])
    for line in built.shift_lines:
        _check_followers(built, line)


def _check_followers(built: _Builder, line: _Line) -> None:
    shift = built.shifts[line.text.partition(",")[0].strip()]
    for code in sorted(shift.not_followed_by - built.shifts.keys()):
        line.fail(f"the shift {code!r} that cannot follow is not in SECTION_SHIFTS")


def _finish(built: _Builder, name: str) -> Instance:
    def requests(section: str) -> tuple[Request, ...]:
        return tuple(built.requests.get(section, {}).values())

    return Instance(
        name=name,
        horizon=built.horizon,
        shifts=tuple(built.shifts.values()),
        staff=tuple(_with_days_off(p, built.days_off.get(p.code)) for p in built.staff.values()),
        on_requests=requests("SECTION_SHIFT_ON_REQUESTS"),
        off_requests=requests("SECTION_SHIFT_OFF_REQUESTS"),
        cover=tuple(built.cover.values()),
    )


def _with_days_off(person: Staff, days: set[int] | None) -> Staff:
    return person if not days else Staff(**{**vars(person), "days_off": frozenset(days)})
