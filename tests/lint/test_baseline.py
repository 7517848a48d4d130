"""A baseline accepts what is there, refuses what is new, and only ever shrinks."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint.baseline import Baseline
from flask_safesession.lint.refusals import CannotRunError

from .shell import finding


def _always(key: tuple[str, str]) -> bool:
    return True


def test_it_is_one_sorted_line_for_each_path_and_rule(tmp_path: Path) -> None:
    """The form is ``path::rule::count``."""
    file = tmp_path / "baseline.txt"
    findings = [finding("b.py"), finding("a.py", rule="TXN502"), finding("b.py", line=9)]
    Baseline.of(findings).write(file)
    assert file.read_text() == "a.py::TXN502::1\nb.py::TXN301::2\n"
    assert Baseline.read(file) == Baseline({("a.py", "TXN502"): 1, ("b.py", "TXN301"): 2})


@pytest.mark.parametrize("path", ["a::b.py", "a b.py", "ä.py", "\udcff.py", "ä\n.py", "a\\n.py"])
def test_any_path_can_be_kept(tmp_path: Path, path: str) -> None:
    """Colons, blanks, newlines and bytes that are no text come back as they were."""
    baseline = Baseline.of([finding(path)])
    baseline.write(tmp_path / "baseline.txt")
    assert Baseline.read(tmp_path / "baseline.txt") == baseline


def test_what_is_there_is_accepted() -> None:
    """As many findings as are listed, wherever in the file they are."""
    findings = [finding(line=3), finding(line=80)]
    assert Baseline({("app/views.py", "TXN301"): 2}).split(findings) == ([], findings)


def test_one_more_makes_all_of_them_new() -> None:
    """A count cannot tell which one came last."""
    findings = [finding(line=3), finding(line=80)]
    other = finding(rule="TXN502")
    baseline = Baseline({("app/views.py", "TXN301"): 1, ("app/views.py", "TXN502"): 1})
    assert baseline.split([*findings, other]) == (findings, [other])


def test_it_tightens_itself() -> None:
    """What was mended is no longer accepted, and what is new is not."""
    baseline = Baseline({("a.py", "TXN301"): 3, ("b.py", "TXN301"): 1, ("c.py", "TXN301"): 1})
    findings = [finding("a.py"), finding("c.py"), finding("c.py", line=9)]
    assert baseline.tightened(findings, _always) == Baseline(
        {("a.py", "TXN301"): 1, ("c.py", "TXN301"): 1}
    )


def test_what_was_not_looked_at_stays() -> None:
    """A run over one directory, or for one rule, knows nothing about the others."""
    baseline = Baseline({("a.py", "TXN301"): 3, ("a.py", "TXN502"): 1})
    tightened = baseline.tightened([], lambda key: key[1] == "TXN301")
    assert tightened == Baseline({("a.py", "TXN502"): 1})


def test_there_may_be_none_yet(tmp_path: Path) -> None:
    """That is not an error."""
    assert Baseline.read(tmp_path / "baseline.txt") is None


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """With its number, and the form that was expected."""
    file = tmp_path / "baseline.txt"
    file.write_text("a.py::TXN301::1\n\na.py::TXN301\n")
    with pytest.raises(
        CannotRunError, match=r"baseline.txt:3: 'a.py::TXN301' is not 'path::rule::count'"
    ):
        Baseline.read(file)


@pytest.mark.parametrize("path", ["a\\x.py", "ä\\n.py"])
def test_an_escape_that_means_nothing_is_named(tmp_path: Path, path: str) -> None:
    """It was written by hand."""
    file = tmp_path / "baseline.txt"
    file.write_text(f"{path}::TXN301::1\n", encoding="utf-8")
    with pytest.raises(CannotRunError, match=r"baseline.txt:1: .* is not 'path::rule::count'"):
        Baseline.read(file)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """A directory stands in its place."""
    with pytest.raises(CannotRunError, match="could not be read"):
        Baseline.read(tmp_path)
    with pytest.raises(CannotRunError, match="could not be written"):
        Baseline().write(tmp_path)
