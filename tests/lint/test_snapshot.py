"""A snapshot changes when the files do, and only then."""

from __future__ import annotations

from pathlib import Path

from flask_safesession.lint.snapshot import Snapshot

from .shell import write


def _take(root: Path, *names: str) -> Snapshot:
    return Snapshot.take([root / name for name in names], root)


def test_the_key_is_made_of_names_and_contents(tmp_path: Path) -> None:
    """Not of times."""
    write(tmp_path, {"a.py": "1", "b.py": "1", "c.py": "2"})
    names = [("a.py",), ("b.py",), ("c.py",), ("a.py", "b.py"), ()]
    keys = [_take(tmp_path, *each).key() for each in names]
    write(tmp_path, {"a.py": "1"})
    assert (len(set(keys)), _take(tmp_path, "a.py").key()) == (5, keys[0])


def test_a_file_that_cannot_be_read_has_a_content_too(tmp_path: Path) -> None:
    """Why it cannot; the checker says so, and tries again when that changes."""
    gone = _take(tmp_path, "a.py")
    write(tmp_path, {"a.py": ""})
    there = _take(tmp_path, "a.py")
    assert gone.key() != there.key()
    assert gone.names_key() == there.names_key()


def test_files_with_a_comment_to_the_checker_are_marked(tmp_path: Path) -> None:
    """They are the ones that may hold an unused one."""
    write(tmp_path, {"a.py": "# safesession: ignore[TXN301] x", "b.py": "# noqa", "c.py": ""})
    assert _take(tmp_path, "a.py", "b.py", "c.py").marked == {"a.py"}
