"""``SessionLocal()`` blocks become scopes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .outcomes import PAIRS, after, outcome
from .rewritten import rewritten

BLOCKS = sorted(PAIRS.glob("blocks/*_before.py"))


@pytest.mark.parametrize("before", BLOCKS, ids=lambda path: path.stem)
def test_a_block_becomes_a_scope(before: Path) -> None:
    """To the byte, and for good: a second run has nothing to do."""
    assert rewritten(before.read_text(encoding="utf-8")) == after(before)
    assert rewritten(after(before)) == after(before)


@pytest.mark.parametrize("before", BLOCKS, ids=lambda path: path.stem)
def test_a_scope_does_the_same_when_all_goes_well(before: Path, tmp_path: Path) -> None:
    """The same result, and the same rows."""
    old = outcome(before.read_text(encoding="utf-8"), "new", tmp_path, safe=False)
    new = outcome(after(before), "new", tmp_path, safe=True)
    assert (new.result, new.rows) == (old.result, old.rows)


@pytest.mark.parametrize("name", ["bad", "taken"])
@pytest.mark.parametrize("before", BLOCKS, ids=lambda path: path.stem)
def test_a_scope_does_no_worse_when_something_fails(
    before: Path, name: str, tmp_path: Path
) -> None:
    """The same error or answer; the same rows or none of the half-done ones; no connection left out."""
    old = outcome(before.read_text(encoding="utf-8"), name, tmp_path, safe=False)
    new = outcome(after(before), name, tmp_path, safe=True)
    assert new.result == old.result
    assert new.rows in {old.rows, ("taken",)}
    assert new.held == 0
