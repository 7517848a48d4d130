"""Which findings count: by rule, by path and by level."""

from __future__ import annotations

import pytest

from flask_safesession.lint.findings import LEVELS, Level
from flask_safesession.lint.selection import Selection

from .shell import finding


@pytest.mark.parametrize(
    ("select", "ignore", "counts"),
    [
        ((), (), True),
        (("TXN502",), (), True),
        (("TXN5",), (), True),
        (("TXN301",), (), False),
        ((), ("TXN502",), False),
        ((), ("TXN5",), False),
        (("TXN502",), ("TXN5",), True),
        (("TXN5",), ("TXN502",), False),
        (("TXN502",), ("TXN502",), False),
        (("TXN",), ("TXN5", "TXN301"), False),
    ],
)
def test_the_longer_prefix_decides(
    select: tuple[str, ...], ignore: tuple[str, ...], counts: bool
) -> None:
    """A rule counts if it is selected more closely than it is left out."""
    assert Selection(select, ignore).looks_at("TXN502", "app/views.py") is counts


@pytest.mark.parametrize(
    ("rule", "path", "counts"),
    [
        ("TXN502", "app/legacy/old.py", False),
        ("TXN503", "app/legacy/deep/old.py", False),
        ("TXN301", "app/legacy/old.py", True),
        ("TXN502", "app/views.py", True),
    ],
)
def test_a_rule_can_be_left_out_by_path(rule: str, path: str, counts: bool) -> None:
    """The star of a glob crosses directories."""
    selection = Selection(per_path=(("app/legacy/*", ("TXN5",)),))
    assert selection.looks_at(rule, path) is counts


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("error", ["error"]),
        ("warning", ["error", "warning"]),
        ("note", ["error", "warning", "note"]),
    ],
)
def test_a_level_shows_what_is_as_certain(level: Level, shown: list[str]) -> None:
    """Notes are hidden unless asked for."""
    selection = Selection(level=level)
    assert [each for each in LEVELS if selection.shows(finding(level=each))] == shown
