"""Generation as a job: what is stored and shown while it runs, and however it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from example_app import generation, jobs, progress, runs, solver, workflows
from example_app.extensions import db
from example_app.models import GenerationJob, GenerationRun, RunState
from example_app.planning import Instance, Solution
from example_app.problems import ConflictError, PlannerError
from example_app.search import Search
from flask_safesession import on_commit, session_manager

from .conftest import CAFE, connections_out, finish_jobs, stored

WAIT = 30


@dataclass
class HeldSolver:
    """The solver, held until somebody lets it go on; it has found something by then."""

    began: threading.Event = field(default_factory=threading.Event)
    reported: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    solve: Callable[..., Solution] = solver.solve

    def __call__(self, instance: Instance, *, seconds: float, search: Search) -> Solution:
        search.objective, search.bound = 9, 2
        search.end_with(self.go.set)
        self.began.set()
        assert self.go.wait(WAIT)
        if search.stopped:
            raise solver.StoppedError("The search was stopped.")
        return self.solve(instance, seconds=seconds, search=search)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldSolver:
    """A held solver, and an event for the moment when its progress was stored."""
    report, found = runs.report, HeldSolver()

    def report_and_tell(run_id: int, search: Search) -> bool:
        on_commit(found.reported.set)
        return report(run_id, search)

    monkeypatch.setattr(runs, "report", report_and_tell)
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    monkeypatch.setattr(solver, "solve", found)
    return found


@pytest.fixture
def run_id(app: Flask, request: pytest.FixtureRequest) -> int:
    """A run of the cafe, begun where a held solver is asked for as well."""
    if "held" in request.fixturenames:
        request.getfixturevalue("held")
    with app.app_context():
        workflows.import_file(CAFE)
        return workflows.request_run("corner_cafe")


def state(app: Flask, run_id: int) -> progress.Progress:
    with app.app_context():
        return workflows.read_progress(run_id)


def ended(app: Flask, run_id: int) -> progress.Progress:
    with app.app_context():
        finish_jobs()
    return state(app, run_id)


def test_pages_show_a_run_while_it_goes_on(
    app: Flask, client: FlaskClient, held: HeldSolver, run_id: int
) -> None:
    """The state, the best cost, the bound and the time are there before the solver has ended."""
    assert held.reported.wait(WAIT)
    run = client.get(f"/api/runs/{run_id}").get_json()
    assert (run["state"], run["ended"], run["quality"]) == ("running", False, "cost 9 (at best 2)")
    assert 0 < run["seconds"] < run["limit"] == 30
    page = client.get(f"/runs/{run_id}").text
    assert 'id="state">running<' in page
    assert f'<noscript><meta http-equiv="refresh" content="1; url=/runs/{run_id}">' in page
    assert f'source = "/api/runs/{run_id}"' in page
    assert f'<a href="/runs/{run_id}">' in client.get("/").text
    held.go.set()
    assert ended(app, run_id).state is RunState.SUCCEEDED
    page = client.get(f"/runs/{run_id}").text
    assert ("cost 3 (proven optimal)" in page, "noscript" in page) == (True, False)


def test_no_connection_is_held_while_the_solver_runs(
    app: Flask, held: HeldSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two scopes, and between two reports, the pool has all its connections."""
    monkeypatch.setattr(progress, "INTERVAL", WAIT)
    with app.app_context():
        workflows.import_file(CAFE)
        run_id = workflows.request_run("corner_cafe")
    assert held.began.wait(WAIT)
    assert connections_out(app) == 0
    held.go.set()
    assert ended(app, run_id).state is RunState.SUCCEEDED


def test_run_that_fails_says_why(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solver's words are stored and shown; no schedule is there."""

    def fail(*_: object, **__: object) -> Solution:
        raise solver.SolverError("no luck")

    monkeypatch.setattr(solver, "solve", fail)
    with app.app_context():
        workflows.import_file(CAFE)
        run_id = workflows.request_run("corner_cafe")
    seen = ended(app, run_id)
    assert (seen.state, seen.message, stored(app)["schedules"]) == (RunState.FAILED, "no luck", 0)
    assert '<p class="problem">no luck</p>' in client.get(f"/runs/{run_id}").text


def test_fault_of_a_job_is_logged(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody reads the future, so the log has the traceback; the run has the name of the error."""

    def fail(*_: object, **__: object) -> Solution:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(solver, "solve", fail)
    with app.app_context():
        workflows.import_file(CAFE)
        run_id = workflows.request_run("corner_cafe")
    assert ended(app, run_id).message == "ZeroDivisionError('oops')"
    assert "a generation failed" in caplog.text


def test_running_job_is_cancelled_from_the_page(
    app: Flask, client: FlaskClient, held: HeldSolver, run_id: int
) -> None:
    """The job reads the wish at its next report, and ends without a schedule."""
    assert held.reported.wait(WAIT)
    assert client.post(f"/runs/{run_id}/cancel").location == f"/runs/{run_id}"
    assert ended(app, run_id).state is RunState.CANCELLED
    assert 'id="state">cancelled<' in client.get(f"/runs/{run_id}").text
    assert stored(app)["schedules"] == 0
    assert client.post(f"/runs/{run_id}/cancel").status_code == 409


def test_queued_job_is_cancelled_at_once(app: Flask, held: HeldSolver, run_id: int) -> None:
    """Its turn comes later, and then it does nothing."""
    with app.app_context():
        second = workflows.request_run("corner_cafe")
        workflows.cancel_run(second)
    assert state(app, second).state is RunState.CANCELLED
    held.go.set()
    assert (ended(app, run_id).state, state(app, second).state) == (
        RunState.SUCCEEDED,
        RunState.CANCELLED,
    )
    assert stored(app)["schedules"] == 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_interrupted_job_is_recorded(
    app: Flask, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    """Whatever ends the solver, the run is closed; and the interruption goes on its way."""

    def interrupt(*_: object, **__: object) -> Solution:
        raise interruption

    monkeypatch.setattr(solver, "solve", interrupt)
    monkeypatch.setattr(jobs, "_submit", lambda _: None)
    with app.app_context():
        workflows.import_file(CAFE)
        run_id = workflows.request_run("corner_cafe")
        with pytest.raises(interruption):
            generation.generate(run_id)
    assert state(app, run_id).state is RunState.CANCELLED


def test_message_that_comes_twice_is_refused(app: Flask, run_id: int) -> None:
    """A queue may deliver a message once more; the run is done once."""
    assert ended(app, run_id).state is RunState.SUCCEEDED
    with app.app_context(), pytest.raises(ConflictError, match="only a queued one can begin"):
        generation.generate(run_id)
    assert stored(app)["schedules"] == 1


@pytest.mark.parametrize(
    ("left", "age"), [(RunState.RUNNING, 16), (RunState.QUEUED, 3601), (RunState.RUNNING, 0)]
)
def test_silent_run_is_shown_as_crashed(
    app: Flask, client: FlaskClient, run_id: int, left: RunState, age: float
) -> None:
    """A process that died leaves its row as it was; the age of the heartbeat tells."""
    ended(app, run_id)
    with app.app_context(), session_manager() as session:
        session.execute(update(GenerationRun).values(state=left))
        session.execute(update(GenerationJob).values(heartbeat=GenerationJob.heartbeat - age))
    shown = "crashed" if age else "running"
    assert client.get(f"/api/runs/{run_id}").get_json()["state"] == shown
    assert f'id="state">{shown}<' in client.get(f"/runs/{run_id}").text


def test_failing_report_does_not_end_the_search(
    app: Flask, held: HeldSolver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The database's trouble is logged, and the next report comes through."""
    report, failures = runs.report, iter([True])

    def fail_once(run_id: int, search: Search) -> bool:
        if next(failures, False):
            db.session.execute(db.text("SELECT nothing FROM nowhere"))
        return report(run_id, search)

    monkeypatch.setattr(runs, "report", fail_once)
    with app.app_context():
        workflows.import_file(CAFE)
        run_id = workflows.request_run("corner_cafe")
        assert held.reported.wait(WAIT)
    held.go.set()
    assert ended(app, run_id).state is RunState.SUCCEEDED
    assert f"run {run_id} was not reported" in caplog.text


def test_request_that_rolls_back_starts_nothing(app: Flask) -> None:
    """The job is started by the COMMIT of its row, and not before."""
    with app.app_context():
        workflows.import_file(CAFE)
        with pytest.raises(PlannerError), session_manager():
            jobs.request_run("corner_cafe", seconds=1)
            raise PlannerError
        finish_jobs()
        with session_manager():
            assert runs.recent_runs() == []


def test_unknown_run_is_404(client: FlaskClient) -> None:
    """On the page, in the API, and when it is to be cancelled."""
    answers = client.get("/runs/9"), client.get("/api/runs/9"), client.post("/runs/9/cancel")
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "There is no generation run 9." in answers[0].text
