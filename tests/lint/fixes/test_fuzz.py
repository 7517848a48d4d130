"""Whatever the code is, the codemods do not fail, and what they write can be parsed and stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.shell import ROOT

from .outcomes import PAIRS
from .rewritten import rewritten

CORPUS = sorted((ROOT / "tests/lint/corpus").glob("txn[1-5]0*"))
BEFORE = sorted(PAIRS.glob("*/*_before.py"))


def _check(code: str) -> None:
    new = rewritten(code)
    compile(new, "new.py", "exec")
    assert new == code or rewritten(new) == new


@pytest.mark.parametrize("folder", CORPUS, ids=lambda path: path.name)
def test_the_corpus_of_the_checker(folder: Path) -> None:
    """Each file as a project of its own."""
    for path in sorted(folder.glob("*.py")):
        _check(path.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("before", BEFORE, ids=lambda path: path.stem)
def test_code_without_one_of_its_lines(before: Path) -> None:
    """A commit, a return or a handler that is missing gives another program, not a broken one."""
    lines = before.read_text(encoding="utf-8").splitlines(keepends=True)
    for index in range(len(lines)):
        code = "".join(lines[:index] + lines[index + 1 :])
        if _is_python(code):
            _check(code)


def _is_python(code: str) -> bool:
    try:
        compile(code, "old.py", "exec")
    except SyntaxError:
        return False
    return True
