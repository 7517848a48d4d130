"""A file is old or new, never half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint.storage import write_atomically


def test_a_file_is_replaced(tmp_path: Path) -> None:
    """Nothing else is left beside it."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    write_atomically(file, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"new")]


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no temporary one."""
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        write_atomically(file, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points to is written."""
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", b"new")
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_bytes()) == (True, b"new")


def test_a_device_is_written_to() -> None:
    """It is not replaced by a file."""
    write_atomically(Path("/dev/null"), b"new")
    assert Path("/dev/null").is_char_device()
