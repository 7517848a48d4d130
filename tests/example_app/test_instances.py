"""The parser reads the published format, and says what is wrong with a broken line."""

from __future__ import annotations

from pathlib import Path

import pytest

from example_app.instances import InstanceError, load_instance, parse_instance
from example_app.planning import Cover, Request

from .conftest import CAFE

GOOD = """\
# a comment
SECTION_HORIZON
14
SECTION_SHIFTS
E,480,
L,420,E
SECTION_STAFF
A,E=14|L=3,4320,3360,5,2,2,1
B,L=14,4320,0,5,2,2,1
SECTION_DAYS_OFF
A,0,7
SECTION_SHIFT_ON_REQUESTS
A,2,E,2
SECTION_SHIFT_OFF_REQUESTS
B,3,L,1
SECTION_COVER
0,E,2,100,1  # five would be better
"""


def test_good_file_becomes_plain_values() -> None:
    """Everything in the file is in the result."""
    instance = parse_instance(GOOD, source="good.txt")
    ann = instance.staff[0]
    assert (instance.name, instance.horizon, len(instance.shifts)) == ("good", 14, 2)
    assert instance.shifts[1].not_followed_by == {"E"}
    assert ann.max_shifts == (("E", 14), ("L", 3))
    assert (ann.min_minutes, ann.days_off) == (3360, frozenset({0, 7}))
    assert instance.on_requests == (Request("A", 2, "E", 2),)
    assert instance.off_requests == (Request("B", 3, "L", 1),)
    assert instance.cover == (Cover(0, "E", 2, 100, 1),)


def test_line_ends_and_byte_order_mark_of_windows_are_read(tmp_path: Path) -> None:
    """Files that went through Windows mean the same."""
    path = tmp_path / "good.txt"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_instance(path) == parse_instance(GOOD, source="good.txt")


def test_weekends_are_the_sixth_and_seventh_day_of_each_week() -> None:
    """A horizon that ends on a Saturday has half a weekend at its end."""
    shorter = GOOD.replace("14\nSECTION_SHIFTS", "13\nSECTION_SHIFTS")
    assert parse_instance(shorter, source="x").weekends == ((5, 6), (12,))


def test_shipped_roster_and_published_instance_are_read(instance1: Path) -> None:
    """Both real files are read."""
    assert len(load_instance(CAFE).staff) == 7
    assert len(load_instance(instance1).cover) == 14


BROKEN = [
    ("14\nSECTION_SHIFTS", "two weeks\nSECTION_SHIFTS", 3, "'two weeks', not a whole number"),
    ("14\nSECTION_SHIFTS", "0\nSECTION_SHIFTS", 3, "not between 1 and 366"),
    ("14\nSECTION_SHIFTS", "-3\nSECTION_SHIFTS", 3, "not a whole number"),
    ("14\nSECTION_SHIFTS", "14\n15\nSECTION_SHIFTS", 4, "a second horizon"),
    ("E,480,", "E", 5, "1 fields instead of 2 or 3"),
    ("E,480,", "E,1500,", 5, "not between 1 and 1440"),
    ("L,420,E", "E,420,", 6, "the shift 'E' is there already"),
    ("L,420,E", "L,420,X", 6, "the shift 'X' that cannot follow is not in"),
    ("L,420,E", f"{'L' * 41},420,", 6, "has 41 characters"),
    ("B,L=14,", "B,", 9, "7 fields instead of 8"),
    ("B,L=14,", "A,L=14,", 9, "the employee 'A' is there already"),
    ("B,L=14,", "B,L,", 9, "the shift limit 'L' has no '='"),
    ("B,L=14,", "B,L=4|L=5,", 9, "the limit of shift 'L' is there already"),
    ("B,L=14,", "B,N=14,", 9, "the shift 'N' is not in SECTION_SHIFTS"),
    ("4320,0,5", "4320,4321,5", 9, "MinTotalMinutes 4321 is more than"),
    ("4320,0,5,2", "4320,0,5,6", 9, "MinConsecutiveShifts 6 is more than"),
    ("4320,0,5", "4320,0,five", 9, "MaxConsecutiveShifts is 'five'"),
    ("4320,0,5", f"4320,0,{'9' * 5000}", 9, "not between 0 and 1000000"),
    ("A,0,7", "Z,0", 11, "the employee 'Z' is not in SECTION_STAFF"),
    ("A,0,7", "A", 11, "no day behind the employee"),
    ("A,0,7", "A,14", 11, "the day is 14, not between 0 and 13"),
    ("A,2,E,2", "A,2,E", 13, "3 fields instead of 4"),
    ("A,2,E,2", "A,2,E,2\nA,2,E,3", 14, "a second request of 'A'"),
    ("B,3,L,1", "B,3,L,much", 15, "the weight is 'much'"),
    ("0,E,2,100,1", "0,E,2,100", 17, "4 fields instead of 5"),
    ("0,E,2,100,1", "0,E,2,100,1\n0,E,3,100,1", 18, "a second cover line"),
    ("SECTION_COVER", "SECTION_COVERS", 16, "an unknown section"),
    ("SECTION_COVER", "SECTION_STAFF", 16, "a section that was there already"),
    ("# a comment", "14", 1, "data before the first section"),
    ("SECTION_HORIZON\n14\n", "", 9, "a day before the horizon is known"),
]


@pytest.mark.parametrize(("old", "new", "line", "problem"), BROKEN, ids=[b[3] for b in BROKEN])
def test_broken_line_is_named(old: str, new: str, line: int, problem: str) -> None:
    """The error has the file, the line, its text, what is wrong and what was expected."""
    text = GOOD.replace(old, new, 1)
    with pytest.raises(InstanceError) as caught:
        parse_instance(text, source="rosters/broken.txt")
    error = caught.value
    assert (error.source, error.line) == ("rosters/broken.txt", line)
    assert error.text == text.splitlines()[line - 1].partition("#")[0].strip()
    assert str(error).startswith(f"rosters/broken.txt, line {line}: {error.text!r}: ")
    assert problem in str(error)
    assert f"Expected: {error.expected}." in str(error)


def test_missing_section_is_named() -> None:
    """A file without staff is refused as a whole."""
    text = GOOD.replace("0,E,2,100,1  # five would be better\n", "")
    with pytest.raises(InstanceError, match=r"empty\.txt: SECTION_COVER is empty\. Expected: Day,"):
        parse_instance(text, source="empty.txt")
    with pytest.raises(InstanceError, match=r"none\.txt: SECTION_HORIZON is missing"):
        parse_instance("", source="none.txt")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and one that is not text give the same kind of error."""
    with pytest.raises(InstanceError, match=r"nowhere\.txt: it cannot be read \(No such file"):
        load_instance(tmp_path / "nowhere.txt")
    (tmp_path / "binary.txt").write_bytes(b"SECTION_\xff\xfe")
    with pytest.raises(InstanceError, match=r"it is not UTF-8 text \(byte 8\)"):
        load_instance(tmp_path / "binary.txt")
