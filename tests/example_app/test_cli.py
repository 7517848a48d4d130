"""The commands, above all the demonstration, which can be repeated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from example_app import create_app

from .conftest import CAFE, stored


def test_demo_runs_twice(app: Flask, runner: FlaskCliRunner) -> None:
    """The second run finds the roster, and archives what the first one published."""
    first, second = (runner.invoke(args=["demo"]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "imported" in first.output
    assert "already there, unchanged" in second.output
    assert "nothing of it was stored or sent" in second.output
    counts = stored(app)
    assert (counts["schedules"], counts["published"]) == (2, 1)


def test_demo_shows_how_each_scope_ended(runner: FlaskCliRunner) -> None:
    """The publish that fails is the only scope that was rolled back."""
    lines = [line for line in runner.invoke(args=["demo"]).output.splitlines() if line.strip()]
    ended = {line.strip().split("  ")[0]: line.split()[-1] for line in lines}
    assert (ended["save_schedule"], ended["publish schedule"]) == ("committed", "committed")
    assert [name for name in ended if ended[name] == "rolled_back"] == ["publish broken schedule"]


def test_demo_takes_another_database(runner: FlaskCliRunner, tmp_path: Path, app: Flask) -> None:
    """Everything goes there, and the printed command names it."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    result = runner.invoke(args=["demo", "--database", url])
    assert result.exit_code == 0, result.output
    assert f"FLASK_SQLALCHEMY_DATABASE_URI='{url}' flask --app example_app run" in result.output
    assert stored(app)["schedules"] == 0


def test_commands_do_the_main_job_one_by_one(app: Flask, runner: FlaskCliRunner) -> None:
    """Import, generate, publish, show."""
    outputs = [
        runner.invoke(args=args).output
        for args in (["import", str(CAFE)], ["generate"], ["publish"], ["show"])
    ]
    assert outputs[0] == "Imported corner_cafe\n"
    bar, result = outputs[1].splitlines()
    assert bar.startswith("Planning ━━")
    assert result.startswith("Schedule 1: cost 3 (proven optimal) in ")
    assert outputs[2] == "Schedule 1 is published.\n"
    assert "corner_cafe, schedule 1 (published, cost 3)" in outputs[3]
    assert stored(app)["published"] == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["import", "nowhere.txt"], "Error: nowhere.txt: it cannot be read"),
        (["generate"], "Error: There is no roster yet."),
        (["generate", "--roster", "x"], "Error: There is no roster 'x'."),
        (["publish", "7"], "Error: There is no schedule 7."),
        (["show", "--roster", "x"], "Error: There is no roster 'x'."),
    ],
)
def test_mistakes_are_one_line(runner: FlaskCliRunner, args: list[str], message: str) -> None:
    """Users see what to mend, no traceback."""
    result = runner.invoke(args=args)
    assert (result.exit_code, message in result.output) == (1, True), result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("command", "needs", "extra"),
    [
        ("generate", ("follow", "rich.progress"), "example"),
        ("scheduler", ("scheduler", "apscheduler.events"), "apscheduler"),
    ],
)
def test_missing_extra_is_one_line(
    runner: FlaskCliRunner,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    needs: tuple[str, str],
    extra: str,
) -> None:
    """It says what to install."""
    module, library = needs
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"example_app.{module}", raising=False)
    result = runner.invoke(args=[command])
    assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert f"pip install 'flask-safesession[{extra}]'" in result.output


def test_roster_has_to_be_chosen_where_there_are_several(runner: FlaskCliRunner) -> None:
    """The error lists the names; one that has no schedule says so."""
    for name in ("one", "two"):
        runner.invoke(args=["import", str(CAFE), "--name", name])
    assert "choose one with --roster: one, two" in runner.invoke(args=["show"]).output
    assert "has no schedule yet" in runner.invoke(args=["publish", "--roster", "one"]).output


def test_default_database_is_a_file_in_the_instance_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any configuration the app needs no server."""
    monkeypatch.delenv("FLASK_SQLALCHEMY_DATABASE_URI", raising=False)
    app = create_app()
    assert app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite:///")
    assert app.config["SQLALCHEMY_DATABASE_URI"].endswith("roster.db")
