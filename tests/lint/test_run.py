"""A run puts files, settings, comments, cache and baseline together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from flask_safesession.lint import run as module
from flask_safesession.lint.checker import check
from flask_safesession.lint.configuration import load
from flask_safesession.lint.report import Report
from flask_safesession.lint.run import Request, run

from .shell import CLEAN, LEAK, LOOP, write

COMMENT = "  # safesession: ignore[TXN301] the caller closes it"
IGNORED = LEAK.replace("SessionLocal()\n    ", f"SessionLocal(){COMMENT}\n    ")
BROKEN = "import sqlalchemy\ndef (:\n"


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one finding."""
    write(tmp_path, {"pyproject.toml": "", "app/views.py": LEAK, "app/clean.py": CLEAN})
    return tmp_path


def _run(root: Path, *paths: str, settings: str = "", **more: Any) -> Report:
    if settings:
        write(root, {"pyproject.toml": f"[tool.safesession]\n{settings}\n"})
    places = tuple(root / each for each in paths) or (root,)
    return run(Request(places, load(root), **more))


def _shown(report: Report) -> list[str]:
    return [f"{each.path} {each.rule}" for each in report.shown]


def test_what_the_rules_find_is_shown(project: Path) -> None:
    """With paths relative to the root."""
    report = _run(project)
    assert (_shown(report), report.files) == (["app/views.py TXN301"], 2)


def test_tests_and_migrations_are_left_alone(project: Path) -> None:
    """With their comments; unless they are asked for."""
    write(project, {"tests/test_views.py": LEAK, "migrations/first.py": CLEAN + COMMENT})
    assert _run(project).files == 2
    report = _run(project, settings="tests = true")
    assert _shown(report) == [
        "app/views.py TXN301",
        "migrations/first.py TXN002",
        "tests/test_views.py TXN301",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        'select = ["TXN5"]',
        'ignore = ["TXN301"]',
        'exclude = ["app/*"]',
        'per-path-ignores = {"app/v*" = ["TXN3"]}',
    ],
)
def test_settings_leave_findings_out(project: Path, settings: str) -> None:
    """As if the rules had found nothing."""
    report = _run(project, settings=settings)
    assert (_shown(report), report.hidden, report.silenced) == ([], (), ())


def test_a_level_hides_findings(project: Path) -> None:
    """They are counted."""
    write(project, {"app/views.py": LOOP})
    report = _run(project, settings='level = "error"')
    assert (_shown(report), len(report.hidden)) == ([], 1)


def test_a_comment_silences_a_finding(project: Path) -> None:
    """It is kept with the reason."""
    write(project, {"app/views.py": IGNORED})
    report = _run(project)
    assert (_shown(report), [each.reason for each in report.silenced]) == (
        [],
        ["the caller closes it"],
    )


def test_noqa_silences_a_finding(project: Path) -> None:
    """In a file without any comment of our own."""
    write(project, {"app/views.py": IGNORED.replace(COMMENT, "  # noqa: TXN301")})
    assert _shown(_run(project)) == []


def test_a_comment_that_silences_nothing_is_a_finding(project: Path) -> None:
    """It can be left out by its id, like a rule."""
    write(project, {"app/clean.py": CLEAN + COMMENT})
    assert _shown(_run(project)) == ["app/clean.py TXN002", "app/views.py TXN301"]
    assert _shown(_run(project, settings='ignore = ["TXN002"]')) == ["app/views.py TXN301"]
    assert _shown(_run(project, settings='select = ["TXN5"]')) == []


def test_comments_in_a_file_that_could_not_be_parsed_are_not_judged(project: Path) -> None:
    """Nobody looked for what they silence; but they may silence that."""
    write(project, {"app/clean.py": BROKEN + COMMENT})
    assert _shown(_run(project, "app/clean.py")) == ["app/clean.py TXN001"]
    write(project, {"app/clean.py": f"{BROKEN}# safesession: ignore-file[TXN001] a template\n"})
    assert _shown(_run(project, "app/clean.py")) == []


def test_a_file_that_is_gone_has_no_comments(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the run began."""

    def check_and_remove(*args: Any, **more: Any) -> Any:
        findings = check(*args, **more)
        (project / "app" / "views.py").unlink()
        return findings

    monkeypatch.setattr(module, "check", check_and_remove)
    assert _shown(_run(project)) == ["app/views.py TXN301"]


# --- The cache ---------------------------------------------------------------------------------


@pytest.fixture
def remembered(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project after a run; another one that has to look at a file fails."""
    _run(project)

    def fail(*args: Any, **more: Any) -> NoReturn:
        raise AssertionError("checked again")

    monkeypatch.setattr(module, "check", fail)
    return project


def test_where_nothing_changed_nothing_is_checked(remembered: Path) -> None:
    """The findings are those of the last run."""
    assert _shown(_run(remembered)) == ["app/views.py TXN301"]


def test_other_ways_to_look_need_no_other_check(remembered: Path) -> None:
    """Selecting and hiding come after the rules."""
    assert _shown(_run(remembered, settings='ignore = ["TXN3"]')) == []


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("app/views.py", CLEAN),
        ("app/more.py", ""),
        ("pyproject.toml", '[tool.safesession]\nservices = ["app/*"]\n'),
    ],
)
def test_whatever_changes_is_checked_again(remembered: Path, file: str, content: str) -> None:
    """A content, a name, an option of the rules."""
    write(remembered, {file: content})
    with pytest.raises(AssertionError, match="checked again"):
        _run(remembered)


def test_the_cache_can_be_refused(remembered: Path) -> None:
    """Then everything is checked."""
    with pytest.raises(AssertionError, match="checked again"):
        _run(remembered, use_cache=False)


def test_no_cache_leaves_no_trace(project: Path) -> None:
    """Nothing is written."""
    _run(project, use_cache=False)
    assert sorted(each.name for each in project.iterdir()) == ["app", "pyproject.toml"]


# --- The baseline ------------------------------------------------------------------------------


@pytest.fixture
def baseline(project: Path) -> Path:
    """A baseline of the project as it is."""
    file = project / "baseline.txt"
    _run(project, baseline=file)
    return file


def test_the_first_run_accepts_what_is_there(baseline: Path) -> None:
    """And says how much."""
    report = _run(baseline.parent, baseline=baseline)
    assert (_shown(report), report.accepted("external")) == ([], 1)
    assert baseline.read_text() == "app/views.py::TXN301::1\n"


def test_what_is_new_is_shown(baseline: Path) -> None:
    """In another file, and in the same one."""
    write(baseline.parent, {"app/more.py": LEAK})
    assert _shown(_run(baseline.parent, baseline=baseline)) == ["app/more.py TXN301"]
    write(baseline.parent, {"app/views.py": LEAK + LEAK.replace("report", "again")})
    assert len(_shown(_run(baseline.parent, baseline=baseline))) == 3
    assert baseline.read_text() == "app/views.py::TXN301::1\n"


@pytest.mark.parametrize("mended", [CLEAN, None])
def test_what_was_mended_is_accepted_no_more(baseline: Path, mended: str | None) -> None:
    """Nor what is gone with its file."""
    if mended is None:
        (baseline.parent / "app" / "views.py").unlink()
    else:
        write(baseline.parent, {"app/views.py": mended})
    _run(baseline.parent, baseline=baseline)
    assert baseline.read_text() == ""
    write(baseline.parent, {"app/views.py": LEAK})
    assert _shown(_run(baseline.parent, baseline=baseline)) == ["app/views.py TXN301"]


@pytest.mark.parametrize(
    ("paths", "settings"),
    [
        (["app/clean.py"], ""),
        ([], 'select = ["TXN5"]'),
        ([], 'exclude = ["app/views.py"]'),
    ],
)
def test_what_was_not_looked_at_stays_accepted(
    baseline: Path, paths: list[str], settings: str
) -> None:
    """Another path, another rule, a glob that leaves it out."""
    _run(baseline.parent, *paths, settings=settings, baseline=baseline)
    assert baseline.read_text() == "app/views.py::TXN301::1\n"


def test_what_is_below_the_level_stays_accepted(project: Path) -> None:
    """It is still there."""
    file = project / "baseline.txt"
    write(project, {"app/views.py": LOOP})
    for settings in ('level = "warning"', 'level = "error"'):
        _run(project, settings=settings, baseline=file)
        assert file.read_text() == "app/views.py::TXN501::1\n"


def test_a_file_that_cannot_be_parsed_today_keeps_its_count(baseline: Path) -> None:
    """It is likely to come back."""
    write(baseline.parent, {"app/views.py": BROKEN})
    assert _shown(_run(baseline.parent, baseline=baseline)) == ["app/views.py TXN001"]
    assert baseline.read_text() == "app/views.py::TXN301::1\n"
