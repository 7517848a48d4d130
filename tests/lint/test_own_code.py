"""The checker's own house is clean."""

from __future__ import annotations

import pytest

from flask_safesession.lint.configuration import load
from flask_safesession.lint.run import Request, run

from .shell import ROOT


@pytest.mark.parametrize("folder", ["flask_safesession", "example_app", "docs", "benchmarks"])
def test_our_own_code_is_clean(folder: str) -> None:
    """Nothing is found above the level of a note, and every comment that silences something is needed."""
    report = run(Request((ROOT / folder,), load(ROOT), use_cache=False))
    assert [f"{each.path}:{each.line} {each.rule}" for each in report.shown] == []
    assert report.files
