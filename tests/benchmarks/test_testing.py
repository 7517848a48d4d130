"""The suite that is measured is one that pytest runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cases import testing


@pytest.mark.timeout(180)  # it starts pytest, and makes thirty tables twice
def test_each_kind_of_test_is_timed(tmp_path: Path) -> None:
    """Once in a single round."""
    environ = {"SUITE_DATABASE": f"sqlite:///{tmp_path}/suite.db", "ROUNDS": "1"}
    found = testing._suite(tmp_path, environ)
    assert {name: len(seconds) for name, seconds in found.items()} == dict.fromkeys(
        testing.NAMES, 1
    )
