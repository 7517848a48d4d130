"""A report as text, as JSON and as workflow commands of GitHub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flask_safesession.lint.findings import Level, Step
from flask_safesession.lint.outputs import FORMATS, text
from flask_safesession.lint.report import Report, Sources
from flask_safesession.lint.suppressions import Silenced

from .shell import finding, report


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_text_shows_place_path_and_call(tmp_path: Path) -> None:
    """One line for a compiler's reader, the way there below it."""
    steps = (
        Step("app/db.py", 3, "'session' is made by 'SessionLocal()'"),
        Step("app/views.py", 9, "'return' leaves it open"),
    )
    assert FORMATS["text"](report(tmp_path, finding(steps=steps))) == (
        "app/views.py:7:5: TXN301 error: 'session' is left open by 'report'.\n"
        "    app/db.py:3: 'session' is made by 'SessionLocal()'\n"
        "    app/views.py:9: 'return' leaves it open\n"
        "    Instead: Write 'with SessionLocal() as session:'.\n"
        "1 finding (1 error) in 1 of 3 files.\n"
    )


def test_a_newline_in_the_name_of_a_file_is_escaped(tmp_path: Path) -> None:
    """A place is one line, whatever it is called."""
    found = finding("app/a\nb.py", steps=(Step("a\tb.py", 3, "made"),))
    lines = FORMATS["text"](report(tmp_path, found)).splitlines()
    assert lines[0].startswith("app/a\\nb.py:7:5: TXN301 error")
    assert lines[1] == "    a\\tb.py:3: made"


def test_a_finding_without_a_call_has_no_such_line(tmp_path: Path) -> None:
    """Nor steps, if there are none."""
    lines = FORMATS["text"](report(tmp_path, finding(call="", steps=()))).splitlines()
    assert [line[:12] for line in lines] == ["app/views.py", "1 finding (1"]


def test_a_name_with_a_line_feed_stays_on_its_line(tmp_path: Path) -> None:
    """Whatever the checked code has in it."""
    lines = FORMATS["text"](report(tmp_path, finding(message="a\n  b", call="", steps=())))
    assert lines.startswith("app/views.py:7:5: TXN301 error: a b\n")


def test_the_summary_counts_what_is_not_shown(tmp_path: Path) -> None:
    """By the reason why."""
    shown = (finding(level="warning"), finding(), finding("b.py"))
    silenced = (Silenced(finding(), "inSource", ""), Silenced(finding(), "external", ""))
    full = Report(Sources(tmp_path), 9, shown, (finding(level="note"),) * 2, silenced)
    assert text.summary(full) == (
        "3 findings (2 errors, 1 warning) in 2 of 9 files; 2 findings below the level ('--level note' shows all); "
        "1 silenced by comments; 1 accepted by the baseline."
    )


def test_nothing_found_is_said(tmp_path: Path) -> None:
    """With the number of files, which may be a surprise."""
    assert text.summary(Report(Sources(tmp_path), 1, ())) == "No findings in 1 file."


def test_statistics_count_by_rule(tmp_path: Path) -> None:
    """The most frequent first."""
    found = (finding(rule="TXN502"), *(finding(),) * 10)
    assert text.statistics(report(tmp_path, *found)) == (
        "10  TXN301  unclosed-session\n 1  TXN502  io-inside-transaction\n"
    )
    assert text.statistics(report(tmp_path)) == ""


def test_json_is_a_list_of_findings(tmp_path: Path) -> None:
    """With every field of a finding."""
    assert json.loads(FORMATS["json"](report(tmp_path, finding()))) == [
        {
            "path": "app/views.py",
            "line": 7,
            "column": 5,
            "end_line": 7,
            "end_column": 29,
            "rule": "TXN301",
            "level": "error",
            "message": "'session' is left open by 'report'.",
            "call": "Write 'with SessionLocal() as session:'.",
            "function": "report",
            "steps": [
                {
                    "path": "app/views.py",
                    "line": 7,
                    "text": "'session' is made by 'SessionLocal()'",
                }
            ],
        }
    ]
    assert json.loads(FORMATS["json"](report(tmp_path))) == []


def test_paths_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies elsewhere has its whole path."""
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    sources = Sources(tmp_path)
    assert sources.shown("app/views.py") == "views.py"
    assert sources.shown("lib/db.py") == (tmp_path / "lib" / "db.py").as_posix()
    assert sources.shown("../db.py") == (tmp_path.parent / "db.py").as_posix()


@pytest.mark.parametrize(
    ("level", "command"), [("error", "error"), ("warning", "warning"), ("note", "notice")]
)
def test_github_has_a_command_for_each_level(tmp_path: Path, level: Level, command: str) -> None:
    """A note is a notice."""
    assert FORMATS["github"](report(tmp_path, finding(level=level, steps=()))) == (
        f"::{command} file=app/views.py,line=7,endLine=7,title=TXN301 unclosed-session,col=5,endColumn=29::"
        "'session' is left open by 'report'.%0AInstead: Write 'with SessionLocal() as session:'.\n"
    )


def test_github_commands_are_escaped(tmp_path: Path) -> None:
    """A path or message cannot end its field, nor begin another command."""
    odd = finding("a,b:c%.py", message="50 %\r\n::error::", call="", steps=(), end_line=8)
    assert FORMATS["github"](report(tmp_path, odd)) == (
        "::error file=a%2Cb%3Ac%25.py,line=7,endLine=8,title=TXN301 unclosed-session::"
        "50 %25%0D%0A::error::\n"
    )


def test_github_has_the_steps(tmp_path: Path) -> None:
    """A line for each, in the same annotation."""
    command = FORMATS["github"](report(tmp_path, finding()))
    assert "report'.%0Aapp/views.py:7: 'session' is made by 'SessionLocal()'%0AInstead" in command


def test_github_wants_paths_from_the_top_of_the_repository(tmp_path: Path) -> None:
    """The project may lie deeper."""
    (tmp_path / ".git").mkdir()
    command = FORMATS["github"](report(tmp_path / "backend", finding()))
    assert command.startswith("::error file=backend/app/views.py,")
