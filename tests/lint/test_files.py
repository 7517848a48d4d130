"""Which files are read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flask_safesession.lint.files import collect, read


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


@pytest.mark.parametrize("name", ["nowhere.py", "gone.py"])
def test_a_broken_link_is_there(tmp_path: Path, name: str) -> None:
    """A link to nothing or to itself: whoever reads it says so."""
    (tmp_path / "gone.py").symlink_to(tmp_path / name)
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["gone.py"]


def test_the_lock_of_an_editor_is_no_file(tmp_path: Path) -> None:
    """Emacs makes a link to nothing beside each file that is being changed."""
    (tmp_path / ".#a.py").symlink_to("me@here.1:2")
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


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Close paths below the folder, and say what a user finds who has no rights there."""
    shut: list[Path] = []

    def look(*names: str, exclude: str = "") -> list[str]:
        tmp_path.chmod(0o755)
        for name in names:
            shut.append(tmp_path / name)
            shut[-1].chmod(0)
        return _lines(READER, str(tmp_path), *filter(None, [exclude]))

    yield look
    for each in shut:
        each.chmod(0o700)


READER = """
import os, sys
from pathlib import Path
from flask_safesession.lint.files import collect, read
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for path in collect([Path()], sys.argv[2:], root=Path()):
    try:
        reason = read(path).decode()
    except OSError as error:
        reason = error.strerror
    print(f"{path.as_posix()}: {reason}")
"""


def _lines(script: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_directory_that_cannot_be_listed_is_there(
    tmp_path: Path, closed: Callable[..., list[str]]
) -> None:
    """What stands below it is not known; one that is left out or excluded is not missed."""
    touch(tmp_path, "a.py", "app/shut/b.py", "legacy/shut/c.py", "shut/d.py", ".git/e.py")
    found = closed("app/shut", "legacy/shut", "shut", ".git", exclude="legacy/*")
    assert found == ["a.py: ", "app/shut: Permission denied", "shut: Permission denied"]
    assert "shut: Permission denied" not in closed(exclude="shut/*")


def test_a_file_that_may_not_be_read_is_there(
    tmp_path: Path, closed: Callable[..., list[str]]
) -> None:
    """Of itself, or because its directory may only be listed."""
    touch(tmp_path, "a.py", "listed/b.py")
    (tmp_path / "listed").chmod(0o744 if os.getuid() == 0 else 0o644)
    found = closed("a.py")
    (tmp_path / "listed").chmod(0o755)
    assert found == ["a.py: Permission denied", "listed/b.py: Permission denied"]


def test_what_is_no_file_is_there_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a pipe waits for its writer."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.py")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.py")
    for path in (*collect([tmp_path], root=tmp_path), tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            read(path)
    assert names_of(collect([tmp_path], root=tmp_path), tmp_path) == ["pipe.py", "socket.py"]
