"""Nightly publishing: by hand and by the scheduler's clock."""

from __future__ import annotations

import signal
from pathlib import Path

from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select

from example_app import workflows
from example_app.extensions import db
from example_app.models import AuditEntry, Schedule
from tests.workers import StartWorker

from .conftest import plan, stored


def statuses(app: Flask) -> dict[int, str]:
    """The status of each schedule, by its id."""
    with app.app_context(), db.engine.connect() as connection:
        rows = connection.execute(select(Schedule.id, Schedule.status).order_by(Schedule.id))
        return {row.id: row.status.value for row in rows}


def actions(app: Flask) -> list[str]:
    """What the scheduler has written into the audit."""
    entries = select(AuditEntry.action).where(AuditEntry.actor == "scheduler")
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.scalars(entries.order_by(AuditEntry.id)))


def test_newest_draft_goes_into_force(app: Flask, draft: int, runner: FlaskCliRunner) -> None:
    """The older draft stays, what was in force is archived; a second run finds nothing to do."""
    with app.app_context():
        workflows.publish(draft)
        older, newest = plan(), plan()
    first, second = (runner.invoke(args=["scheduler", "--once"]) for _ in range(2))
    assert (first.exit_code, first.output) == (0, "corner_cafe: schedule 3 published\n")
    assert second.output == "corner_cafe: nothing published\n"
    assert statuses(app) == {draft: "archived", older: "draft", newest: "published"}
    assert actions(app) == ["archived", "published"]


def test_scheduler_publishes_by_its_clock(
    start_worker: StartWorker, app: Flask, draft: int, database_url: str
) -> None:
    """A process of its own does it when the time has come, again and again; a coroutine sends what it published."""
    worker = start_worker(
        *("-m", "flask", "--app", "example_app", "scheduler", "--every", "0.5"),
        environ={"FLASK_SQLALCHEMY_DATABASE_URI": database_url},
    )
    worker.wait_for("^corner_cafe: schedule 1 published\n(.*\n)*corner_cafe: nothing published")
    worker.wait_for("^schedule 1: [0-9]+ hours of 7 people$")
    assert statuses(app) == {draft: "published"}
    assert stored(app)["published"] == 1
    assert actions(app) == ["published"]


def test_scheduler_ends_with_ctrl_c(tmp_path: Path, start_worker: StartWorker) -> None:
    """Ctrl-C is the way to end it, so it is no traceback."""
    worker = start_worker(
        *("-m", "flask", "--app", "example_app", "scheduler"),
        environ={"FLASK_SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'empty.db'}"},
    )
    worker.wait_for("The scheduler runs")
    worker.process.send_signal(signal.SIGINT)
    assert (worker.wait(), "Traceback" in worker.output) == (0, False), worker.output
