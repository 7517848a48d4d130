"""Each category of fault, really provoked through each driver."""

from __future__ import annotations

import sys

import pytest

from flask_safesession import classify
from flask_safesession._core.faults.table import CATEGORIES

from .bench import DRIVERS, dialect_of
from .conftest import MakeBench
from .on_servers import Act
from .table import cases, provocations, reason

NAMES = [each.name for each in CATEGORIES]
CASES = list(cases(NAMES))


def _told(category: str, driver: str) -> str:
    """What can be told of *category*: Python 3.10's sqlite3 has no codes, and one text for both of these."""
    if sys.version_info < (3, 11) and (category, dialect_of(driver)) == (
        "serialization_failure",
        "sqlite",
    ):
        return "lock_timeout"
    return category


@pytest.mark.parametrize(
    ("category", "driver", "act"),
    [(category, driver, act) for category, driver, _, act in CASES],
    ids=[f"{category}-{driver}-{name}" for category, driver, name, _ in CASES],
)
def test_a_category(make_bench: MakeBench, category: str, driver: str, act: Act) -> None:
    """The error is classified, whatever class it has, and so is the driver's own, where SQLAlchemy has wrapped it."""
    error = make_bench(driver).raised(act)
    assert error is not None
    told = _told(category, driver)
    assert classify(error).category == told, repr(error)
    own = getattr(error, "orig", None)
    if own is not None:
        assert classify(own).category == told, repr(own)


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_category_is_left_out(driver: str) -> None:
    """What is not provoked has its reason, and what has a reason is not provoked."""
    left = [each for each in NAMES if not provocations(each, driver)]
    assert left == [each for each in NAMES if reason(each, driver) is not None]
