"""Runs the checker over snippets and over the corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from flask_safesession.lint.checker import check
from flask_safesession.lint.files import collect
from flask_safesession.lint.findings import Finding
from flask_safesession.lint.options import Options

CORPUS = Path(__file__).parent / "corpus"
EVERYTHING = Options(tests=True)


def corpus_test(rule: str) -> Callable[[Path], None]:
    """Return the test that runs each case of a rule's corpus."""
    cases = sorted((CORPUS / rule.lower()).glob("*.py"))

    @pytest.mark.parametrize("case", cases, ids=lambda path: path.stem)
    def test_case(case: Path) -> None:
        """The rule speaks at the marked lines of a case, and nowhere else."""
        lines = case.read_text(encoding="utf-8").splitlines()
        marked = {number for number, line in enumerate(lines, 1) if f"# {rule}" in line}
        found = check([case], EVERYTHING, root=case.parent)
        assert {each.line for each in found if each.rule == rule} == marked
        assert bool(marked) == case.stem.startswith("bad_")

    return test_case


def check_files(
    root: Path, files: Mapping[str, str], options: Options = EVERYTHING
) -> list[Finding]:
    """Write *files* below *root* and return what the checker finds in them."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    return check(collect([root], root=root), options, root=root)


def check_text(root: Path, text: str, options: Options = EVERYTHING) -> list[Finding]:
    """Return what the checker finds in one file."""
    return check_files(root, {"snippet.py": text}, options)


def rules_of(found: list[Finding]) -> list[str]:
    """Return the rules of some findings, in the order of their places."""
    return [each.rule for each in found]
