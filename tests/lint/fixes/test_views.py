"""Views that commit by hand become ``@transactional``, and services that commit, flush."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outcomes import PAIRS, after
from .requests import answer
from .rewritten import rewritten

VIEWS = sorted([*PAIRS.glob("views/*_before.py"), *PAIRS.glob("services/*_before.py")])


@pytest.mark.parametrize("before", VIEWS, ids=lambda path: path.stem)
def test_a_view_becomes_transactional(before: Path) -> None:
    """To the byte, and for good: a second run has nothing to do."""
    assert rewritten(before.read_text(encoding="utf-8")) == after(before)
    assert rewritten(after(before)) == after(before)


@pytest.mark.parametrize("before", VIEWS, ids=lambda path: path.stem)
def test_a_view_does_the_same_when_all_goes_well(before: Path, tmp_path: Path) -> None:
    """The same answer, and the same rows."""
    old = answer(before.read_text(encoding="utf-8"), "new", tmp_path, safe=False)
    new = answer(after(before), "new", tmp_path, safe=True)
    assert (new.result, new.rows) == (old.result, old.rows)
    assert len(new.rows) > 1


@pytest.mark.parametrize("name", ["bad", "taken"])
@pytest.mark.parametrize("before", VIEWS, ids=lambda path: path.stem)
def test_a_view_does_no_worse_when_something_fails(before: Path, name: str, tmp_path: Path) -> None:
    """The same answer; the same rows or none of the half-done ones; no connection left out."""
    old = answer(before.read_text(encoding="utf-8"), name, tmp_path, safe=False)
    new = answer(after(before), name, tmp_path, safe=True)
    assert new.result == old.result
    assert new.rows in {old.rows, ("taken",)}
    assert new.held == 0
