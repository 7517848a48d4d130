"""Which files are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flask_safesession.lint.files import collect


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def names_of(found: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found]


def test_python_files_below_a_directory(tmp_path: Path) -> None:
    """In the order of their names, stubs included, and nothing else."""
    touch(tmp_path, "b.py", "a/c.py", "a/d.txt", "e.pyi")
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["a/c.py", "b.py", "e.pyi"]


@pytest.mark.parametrize("directory", [".git", ".venv", "venv", "node_modules", "__pycache__"])
def test_directories_of_tools_are_left_out(tmp_path: Path, directory: str) -> None:
    """They hold nobody's own code."""
    touch(tmp_path, f"{directory}/a.py", "b.py")
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["b.py"]


def test_a_virtual_environment_of_any_name_is_left_out(tmp_path: Path) -> None:
    """``pyvenv.cfg`` tells."""
    touch(tmp_path, "env/pyvenv.cfg", "env/lib/a.py", "b.py")
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["b.py"]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    """A link to a directory above is followed once."""
    touch(tmp_path, "a/b.py")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a", target_is_directory=True)
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["a/b.py"]


def test_a_broken_link_is_no_file(tmp_path: Path) -> None:
    """A link to nothing is left out."""
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    assert collect([tmp_path], root=tmp_path) == []


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """By its real path."""
    touch(tmp_path, "a.py")
    assert names_of(collect([tmp_path, tmp_path / "a.py"], root=tmp_path), tmp_path) == ["a.py"]


def test_excluded_files_are_left_out_unless_named(tmp_path: Path) -> None:
    """The globs are about what is found, not about what is asked for."""
    touch(tmp_path, "app/legacy/a.py", "app/b.py")
    found = collect([tmp_path], ["app/legacy/*"], root=tmp_path)
    assert names_of(found, tmp_path) == ["app/b.py"]
    named = tmp_path / "app/legacy/a.py"
    assert collect([named], ["app/legacy/*"], root=tmp_path) == [named]


def test_a_place_that_cannot_be_looked_at_is_no_reason_to_stop(tmp_path: Path) -> None:
    """Its path is too long for the system, as one below ``/proc`` may be forbidden: whoever reads it says so."""
    here = Path.cwd()
    length = len(str(tmp_path))
    os.chdir(tmp_path)
    try:
        while length < 3890:
            Path("d" * 199).mkdir()
            os.chdir("d" * 199)
            length += 200
        Path("e" * (4090 - length - 1)).mkdir()
        os.chdir("e" * (4090 - length - 1))
        Path("long_enough.py").touch()
    finally:
        os.chdir(here)
    (found,) = collect([tmp_path], root=tmp_path)
    assert found.name == "long_enough.py"
