"""The command line of the checker: options, outputs and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from flask_safesession.cli import safesession
from flask_safesession.lint import cli
from flask_safesession.lint.catalogue import catalogue

from .shell import CLEAN, LEAK, LOOP, run_module, write


@pytest.fixture(autouse=True)
def project(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working directory: a project with one finding."""
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("home")))
    write(tmp_path, {"pyproject.toml": "", "app/views.py": LEAK, "app/clean.py": CLEAN})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _lint(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, prog_name="lint")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 1),
        (("app",), 1),
        (("check", "app"), 1),
        (("app/clean.py",), 0),
        (("app/views.py", "app/clean.py"), 1),
        (("--exit-zero",), 0),
        (("--ignore", "TXN3"), 0),
        (("--select", "TXN301"), 1),
        (("--select", "TXN5,txn1", "--select", "TXN2"), 0),
        (("--no-cache", "--jobs", "2"), 1),
        (("--tests",), 1),
    ],
)
def test_the_exit_code_tells_whether_something_was_found(
    arguments: tuple[str, ...], code: int
) -> None:
    """0 if not, 1 if so."""
    result = _lint(*arguments)
    assert (result.exit_code, result.stderr) == (code, "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--levle", "note"), "Error: No such option '--levle'."),
        (("--level", "all"), "Error: Invalid value for '--level': 'all' is not one of"),
        (("no/such",), "Error: Invalid value for '[PATHS]...': Path 'no/such' does not exist."),
        (("--select", "E501"), "Error: --select: 'E501' is not a rule or the beginning of one."),
        (
            ("--ignore", "TXN999"),
            "Error: --ignore: 'TXN999' is not a rule or the beginning of one.",
        ),
        (("--explain", "TXN31"), "Error: 'TXN31' is not a rule. Did you mean 'TXN301'?"),
        (("--explain", "TXN"), "Error: 'TXN' is not a rule. The rules are 'TXN001', 'TXN002', "),
        (
            ("--select", "TXN9"),
            "Error: --select: 'TXN9' is not a rule or the beginning of one. The",
        ),
        (
            ("--select", ""),
            "Error: --select names no rule. Name one, such as 'TXN301', or leave it",
        ),
        (
            ("--ignore", ",,"),
            "Error: --ignore names no rule. Name one, such as 'TXN301', or leave it",
        ),
        (
            ("--output", "no/such/file"),
            "Error: 'no/such/file' could not be written: No such file or directory\n",
        ),
        (
            ("--html", "no/such/file"),
            "Error: 'no/such/file' could not be written: No such file or directory\n",
        ),
        (
            ("--baseline", "no/such/file"),
            "Error: The baseline 'no/such/file' could not be written: No such file or directory\n",
        ),
        (("--jobs", "0"), "Error: Invalid value for '--jobs': 0 is not in the range x>=1."),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], error: str) -> None:
    """Exit code 2, and nothing on stdout."""
    result = _lint(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(error)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "content", "arguments", "error"),
    [
        ("pyproject.toml", "[tool.safesession]\nlvel = 1", (), "Did you mean 'level'?"),
        ("pyproject.toml", "[tool", (), "could not be read"),
        ("accepted", "nonsense", ("--baseline", "accepted"), "is not 'path::rule::count'"),
    ],
)
def test_a_broken_file_is_one_line(
    project: Path, file: str, content: str, arguments: tuple[str, ...], error: str
) -> None:
    """Of the settings or of the baseline."""
    write(project, {file: content})
    result = _lint(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert error in result.stderr


def test_a_fault_of_the_checker_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback is shown, and the exit code says that the check could not run."""

    def fail(*args: object) -> NoReturn:
        raise ZeroDivisionError("a rule is broken")

    monkeypatch.setattr(cli, "run", fail)
    result = _lint()
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ZeroDivisionError: a rule is broken" in result.stderr


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("note", 1)])
def test_only_what_is_shown_counts(project: Path, level: str, code: int) -> None:
    """What lies below the level is hidden."""
    write(project, {"app/views.py": LOOP})
    assert _lint("--level", level).exit_code == code


def test_the_command_line_wins_over_the_settings(project: Path) -> None:
    """For each option by itself."""
    write(project, {"pyproject.toml": '[tool.safesession]\nselect = ["TXN5"]\nlevel = "error"\n'})
    write(project, {"app/views.py": LOOP})
    assert _lint().exit_code == 0
    assert _lint("--level", "warning").exit_code == 1
    assert _lint("--level", "warning", "--select", "TXN3").exit_code == 0


def test_json_goes_to_stdout_alone() -> None:
    """A program can read it."""
    [found] = json.loads(_lint("--format", "json").stdout)
    assert (found["path"], found["rule"], found["function"]) == ("app/views.py", "TXN301", "report")


def test_a_report_can_go_to_a_file(project: Path) -> None:
    """Then stderr has the summary."""
    result = _lint("--format", "sarif", "--output", "report.sarif")
    log = json.loads((project / "report.sarif").read_text())
    assert [each["ruleId"] for each in log["runs"][0]["results"]] == ["TXN301"]
    assert (result.stdout, result.stderr) == ("", "1 finding (1 error) in 1 of 2 files.\n")


def test_the_page_for_people_comes_beside_the_report(project: Path) -> None:
    """Both are of one run."""
    result = _lint("--html", "report.html", "--format", "github")
    assert result.stdout.startswith("::error file=app/views.py,")
    assert "TXN301" in (project / "report.html").read_text()


def test_statistics_follow_the_findings() -> None:
    """Or go to stderr, where a program reads stdout."""
    line = "1  TXN301  unclosed-session\n"
    assert _lint("--statistics").stdout.endswith(f"in 1 of 2 files.\n{line}")
    result = _lint("--statistics", "--format", "json")
    assert (len(json.loads(result.stdout)), result.stderr) == (1, line)


def test_a_baseline_accepts_and_refuses(project: Path) -> None:
    """What is there passes, what is new does not."""
    first = _lint("--baseline", "accepted")
    assert (first.exit_code, first.stderr) == (
        0,
        "'accepted' is new: it accepts all that is there (1).\n",
    )
    write(project, {"app/more.py": LEAK})
    result = _lint("--baseline", "accepted")
    assert (result.exit_code, "app/more.py" in result.stdout, "app/views.py" in result.stdout) == (
        1,
        True,
        False,
    )


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.id)
def test_every_rule_explains_itself(rule: object) -> None:
    """By id or slug, with a bad and a good example where it is about code."""
    by_id, by_slug = (_lint("--explain", getattr(rule, name)) for name in ("id", "slug"))
    assert (by_id.exit_code, by_id.output) == (0, by_slug.output)
    assert all(
        part in by_id.output for part in ("Problem\n---", "Bad\n---", "Good\n---", "Source\n---")
    )
    assert [
        part for part in (".. code-block", ":run:", ":doc:", "``") if part in by_id.output
    ] == []


def test_flask_has_the_same_command() -> None:
    """Under the name of the extension."""
    result = CliRunner().invoke(safesession, ["check", "app"])
    assert (result.exit_code, result.stdout) == (1, _lint("app").stdout)


def test_the_help_is_that_of_the_check() -> None:
    """It is the command that is meant where none is named."""
    result = _lint("--help")
    assert result.exit_code == 0
    assert all(
        part in result.output for part in ("PATHS", "--baseline", "--explain", "[tool.safesession]")
    )


def test_a_name_that_the_terminal_cannot_show_is_escaped(project: Path) -> None:
    """Bytes that are no text, on a terminal that knows ASCII."""
    (project / "app" / "views.py").rename(project / "app" / "\udce4.py")
    result = CliRunner(charset="ascii").invoke(cli.main, [])
    assert (result.exit_code, "\\udce4.py:7:" in result.stdout) == (1, True)


# --- In processes of their own -----------------------------------------------------------------


def test_the_module_is_the_command(project: Path) -> None:
    """``python -m flask_safesession.lint``, with no app anywhere."""
    result = run_module("flask_safesession.lint", "app", "--format", "json", cwd=project)
    assert (result.returncode, result.stderr) == (1, "")
    assert [each["rule"] for each in json.loads(result.stdout)] == ["TXN301"]


def test_flask_has_the_command(project: Path) -> None:
    """``flask safesession check`` needs no app either."""
    result = run_module("flask", "safesession", "check", "app", cwd=project)
    assert (result.returncode, result.stderr) == (1, "")
    assert "app/views.py:7:" in result.stdout


def test_nothing_of_the_checked_code_is_run(project: Path) -> None:
    """Not even its imports."""
    write(
        project,
        {"app/views.py": f"open('run', 'w')\n{LEAK}", "app/__init__.py": "open('run', 'w')\n"},
    )
    assert run_module("flask_safesession.lint", "app", cwd=project).returncode == 1
    assert not (project / "run").exists()
