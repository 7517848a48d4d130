"""The progress bar of a real search in another process, and how such a process may end."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from example_app import progress, services
from example_app.instances import load_instance
from example_app.models import RunState
from example_app.planning import Instance
from example_app.search import Search
from example_app.solver import StoppedError, solve
from flask_safesession import session_manager
from tests.workers import StartWorker, Worker

from .conftest import CAFE, stored

TEAMS = 6


def hard_roster() -> Instance:
    """Six cafes at once with too few people: soon a roster, the best one not within a minute."""
    cafe = load_instance(CAFE)
    teams = range(TEAMS)
    on, off = (
        tuple(replace(r, employee=f"{r.employee}{team}") for team in teams for r in requests)
        for requests in (cafe.on_requests, cafe.off_requests)
    )
    return replace(
        cafe,
        name="hard",
        staff=tuple(replace(s, code=f"{s.code}{team}") for team in teams for s in cafe.staff),
        on_requests=on,
        off_requests=off,
        cover=tuple(replace(c, required=c.required * TEAMS + 1) for c in cafe.cover),
    )


@pytest.fixture
def command(app: Flask, database_url: str, start_worker: StartWorker) -> Worker:
    """A command that plans the hard roster, and shows its bar as on a terminal."""
    with app.app_context(), session_manager():
        services.import_roster(hard_roster(), "hard")
    command = start_worker(
        *("-m", "flask", "--app", "example_app", "generate", "--seconds", "50"),
        environ={
            "FLASK_SQLALCHEMY_DATABASE_URI": database_url,
            "FORCE_COLOR": "1",
            "COLUMNS": "120",
        },
    )
    command.wait_for(r"Planning.*cost \d+ \(at best \d+\)")
    return command


def test_bar_and_page_show_a_search_of_another_process(
    command: Worker, client: FlaskClient
) -> None:
    """What the solver has found so far is in the row, before the run has ended."""
    run = client.get("/api/runs/1").get_json()
    assert (run["state"], run["ended"]) == ("running", False)
    assert run["objective"] > run["bound"] >= 0
    assert 'id="state">running<' in client.get("/runs/1").text


def test_ctrl_c_cancels_the_run(app: Flask, command: Worker, client: FlaskClient) -> None:
    """The solver stops, the run is closed, and the command says so in one line."""
    command.process.send_signal(signal.SIGINT)
    assert command.wait() == 1, command.output
    assert "Error: Run 1 has been cancelled: The search was stopped." in command.output
    assert "Traceback" not in command.output
    assert client.get("/api/runs/1").get_json()["state"] == "cancelled"
    assert stored(app)["schedules"] == 0


def test_run_of_a_killed_process_does_not_run_for_ever(
    app: Flask, command: Worker, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was left to write down the end; the page tells it by the silence."""
    command.process.kill()
    command.wait()
    assert client.get("/api/runs/1").get_json()["state"] == "running"
    monkeypatch.setitem(progress.SILENCE, RunState.RUNNING, 0.0)
    assert client.get("/api/runs/1").get_json()["state"] == "crashed"
    assert "its process died" in client.get("/runs/1").text


def test_stopped_search_ends_soon() -> None:
    """The solver is stopped from another thread, here one of its own, long before its time."""

    class Impatient(Search):
        def found_bound(self, bound: float) -> None:
            self.stop()

    search = Impatient()
    with pytest.raises(StoppedError):
        solve(hard_roster(), seconds=50, search=search)
    assert search.seconds < 40
