"""``fix`` on the command line: what it shows, what it writes, and when it refuses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flask_safesession.cli import safesession
from flask_safesession.lint import cli, fixing
from flask_safesession.lint.fixes import sources
from flask_safesession.lint.fixes.sources import Source, Unfit, refuse_changed, write
from tests.lint.shell import run_module
from tests.lint.shell import write as write_files

FACTORY = "from sqlalchemy.orm import sessionmaker\n\nSessionLocal = sessionmaker()\n"
BEFORE = """\
from app.database import SessionLocal


def add(item):
    db = SessionLocal()
    try:
        db.add(item)
        db.commit()
    except Exception:
        db.rollback()
        raise
    finally:
        db.close()
"""
AFTER = """\
from flask_safesession import session_manager


def add(item):
    with session_manager() as db:
        db.add(item)
"""
UNSURE = BEFORE.replace("db.add(item)", "yield db")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project with one block."""
    write_files(
        tmp_path, {"pyproject.toml": "", "app/database.py": FACTORY, "app/items.py": BEFORE}
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _fix(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["fix", *arguments], prog_name="lint")


def test_a_diff_is_shown_unless_writing_is_asked_for(project: Path) -> None:
    """Exit code 1 says that changes are pending; nothing is written."""
    result = _fix("app")
    assert (result.exit_code, result.stderr) == (1, "1 change in 1 file, 0 left alone.\n")
    assert result.stdout.startswith("--- a/app/items.py\n+++ b/app/items.py\n@@ -1,13 +1,6 @@\n")
    assert "+    with session_manager() as db:\n" in result.stdout
    assert (project / "app/items.py").read_text() == BEFORE


def test_writing_makes_the_changes_once(project: Path) -> None:
    """Exit code 0, and a second run has nothing to do; the mode of the file stays."""
    file = project / "app/items.py"
    file.chmod(0o640)
    assert _fix("--write").exit_code == 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == (AFTER, 0o640)
    again = _fix()
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr == "0 changes in 0 files, 0 left alone.\n"


def test_flask_has_the_command() -> None:
    """``flask safesession fix`` is the same one."""
    assert safesession.commands["fix"] is fixing.fix


def test_what_is_left_alone_is_named(project: Path) -> None:
    """With its line and the reason, on stderr."""
    write_files(project, {"app/items.py": UNSURE})
    result = _fix("app/items.py")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("app/items.py:7: left alone: 'add': it yields")


def test_only_files_below_the_paths_change(project: Path) -> None:
    """The others are read, because callers matter."""
    write_files(
        project, {"app/other.py": BEFORE, "app/late.py": "from app.items import add\n\nadd(1)\n"}
    )
    result = _fix("--write", "app/items.py")
    assert "app/items.py:4: left alone: 'add': 'app/late.py' calls it" in result.stderr
    assert (project / "app/other.py").read_text() == BEFORE


def test_a_directory_that_is_no_project_is_read_alone(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No file outside of the given paths is looked at; paths outside of the working directory are whole."""
    bare = tmp_path_factory.mktemp("bare")
    write_files(
        bare, {"app/database.py": FACTORY, "app/items.py": UNSURE, "other/items.py": BEFORE}
    )
    result = _fix(str(bare / "app"))
    assert f"{(bare / 'app/items.py').as_posix()}:7: left alone" in result.stderr


def test_tests_are_left_alone_unless_asked_for(project: Path) -> None:
    """As the checker does."""
    write_files(project, {"tests/test_items.py": BEFORE})
    assert "1 change in 1 file" in _fix().stderr
    assert "2 changes in 2 files" in _fix("--tests").stderr


def test_the_factory_can_be_named(project: Path) -> None:
    """Another one is not touched."""
    reports = BEFORE.replace("database import", "reports import").replace("SessionLocal", "Reports")
    write_files(project, {"app/reports.py": FACTORY.replace("SessionLocal", "Reports")})
    write_files(project, {"app/sums.py": reports})
    assert "is none of the factories" in _fix("--factory", "Reports").stderr


def test_a_factory_that_there_is_not_is_refused(project: Path) -> None:
    """Else a slip of the pen would look like nothing to do."""
    result = _fix("--factory", "SesionLocal", "--write")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: 'SesionLocal' is not a factory that makes a session here. Did you mean 'SessionLocal'?\n"
    )
    write_files(project, {"app/items.py": ""})
    assert "and neither does anything else" in _fix("--factory", "SessionLocal").stderr


def test_showing_and_writing_are_two_things(project: Path) -> None:
    """Nothing is written, and the exit code is 2."""
    result = _fix("--diff", "--write")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name one of them" in result.stderr
    assert (project / "app/items.py").read_text() == BEFORE
    assert _fix("--diff").exit_code == 1


def test_without_libcst_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and exit code 2."""
    monkeypatch.setattr(fixing, "find_spec", lambda name: None)
    result = _fix()
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: 'fix' needs LibCST. Install it: pip install \"flask-safesession[lint]\".\n"
    )


def test_the_checker_does_not_load_libcst(project: Path) -> None:
    """Only ``fix`` does."""
    script = "import sys, flask_safesession.lint.cli; print('libcst' in sys.modules)"
    write_files(project, {"loaded.py": script})
    assert run_module("loaded", cwd=project).stdout == "False\n"
    assert importlib.util.find_spec("libcst") is not None


@pytest.mark.parametrize(
    ("encoding", "head", "newline"),
    [
        ("utf-8-sig", "", "\n"),
        ("utf-8", "", "\r\n"),
        ("latin-1", "# -*- coding: latin-1 -*-\n", "\n"),
        ("latin-1", "# -*- coding: latin-1 -*-\n", "\r\n"),
    ],
)
def test_encoding_and_line_ends_stay(project: Path, encoding: str, head: str, newline: str) -> None:
    """Byte order marks, coding lines and CRLF as they were."""
    file = project / "app/items.py"
    text = head + '"""Größe."""\n\n'
    file.write_bytes((text + BEFORE).replace("\n", newline).encode(encoding))
    assert _fix("--diff").exit_code == 1
    assert _fix("--write").exit_code == 0
    assert file.read_bytes() == (text + AFTER).replace("\n", newline).encode(encoding)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BEFORE.replace("def add", "\x0cdef add"), "LibCST does not reproduce it byte for byte"),
        (BEFORE.replace("\n", "\r\n", 3) + "def broken(:\n", None),
        (f"{BEFORE}x = [{'1,' * 5000}]\n", "is longer than 10,000 bytes"),
    ],
)
def test_a_file_that_libcst_cannot_do_is_left_alone(
    project: Path, content: str, reason: str | None
) -> None:
    """It loses a form feed, and takes minutes for a line of megabytes; what does not parse has no facts."""
    file = project / "app/items.py"
    file.write_bytes(content.encode())
    result = _fix("--write")
    assert result.exit_code == 0
    assert (reason or "0 changes") in result.stderr
    assert file.read_bytes() == content.encode()


def test_a_file_that_changed_meanwhile_is_not_overwritten(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is any other: all or nothing, and exit code 2."""
    write_files(project, {"app/more.py": BEFORE})
    rewritten = fixing._rewritten

    def meanwhile(*args: object) -> object:
        (project / "app/more.py").write_text("mine = 1\n")
        return rewritten(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fixing, "_rewritten", meanwhile)
    result = _fix("--write")
    assert result.exit_code == 2
    assert "'app/more.py' changed while it was being rewritten" in result.stderr
    assert (project / "app/items.py").read_text() == BEFORE
    assert (project / "app/more.py").read_text() == "mine = 1\n"


def test_a_file_that_is_gone_or_cannot_be_written_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of the system."""
    gone = Source("gone.py", project / "gone.py", b"")
    with pytest.raises(Unfit, match=r"'gone.py' can no longer be read: No such file"):
        refuse_changed(gone)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sources, "write_atomically", full)
    items = Source("app/items.py", project / "app/items.py", BEFORE.encode())
    with pytest.raises(Unfit, match=r"'app/items.py' could not be written: No space left"):
        write(items, b"")


def test_what_libcst_cannot_read_is_said() -> None:
    """With its first line."""
    with pytest.raises(Unfit, match="LibCST cannot read it: "):
        sources.parse(b"def f(:\n")


def test_a_newline_in_the_name_of_a_file_is_escaped(project: Path) -> None:
    """In the diff and where it is left alone."""
    write_files(project, {"app/a\nb.py": BEFORE, "app/c\nd.py": UNSURE})
    result = _fix("app")
    assert "--- a/app/a\\nb.py\n+++ b/app/a\\nb.py\n" in result.stdout
    assert "app/c\\nd.py:7: left alone" in result.stderr


def test_a_link_to_a_file_elsewhere_is_not_followed(project: Path) -> None:
    """Only what lies below the paths changes, wherever a link there leads."""
    write_files(project, {"out/ext.py": BEFORE, "out/plain.py": "x = 1\n"})
    (project / "app/link.py").symlink_to("../out/ext.py")
    (project / "app/other.py").symlink_to("../out/plain.py")
    (project / "app/alias.py").symlink_to("items.py")
    result = _fix("--write", "app")
    assert (project / "out/ext.py").read_text() == BEFORE
    assert (project / "app/items.py").read_text() == AFTER
    left = "app/link.py:1: left alone: it is a link to a file that is not below the PATHS"
    assert result.stderr.splitlines() == [left, "1 change in 1 file, 1 left alone."]
