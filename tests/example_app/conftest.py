"""The example app on an SQLite file of its own, and its shipped roster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import func, select

from example_app import create_app, jobs, workflows
from example_app.database import ensure_tables
from example_app.extensions import db
from example_app.models import AuditEntry, Schedule, ShiftAssignment, Status

CHECKOUT = Path(__file__).resolve().parents[2]
CAFE = CHECKOUT / "example_app" / "data" / "corner_cafe.txt"
INSTANCES_VARIABLE = "SAFESESSION_INSTANCES"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """An SQLite file of this test alone."""
    return f"sqlite:///{tmp_path / 'roster.db'}"


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """The planner; at the end no connection of it is out."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": database_url, "TESTING": True})
    with app.app_context():
        ensure_tables()
    yield app
    with app.app_context():
        jobs.executor().shutdown(drain=True, timeout=30)
        assert connections_out(app) == 0
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without cookies."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """The command line."""
    return app.test_cli_runner()


@pytest.fixture
def draft(app: Flask) -> int:
    """The id of a schedule of the cafe that could be published."""
    with app.app_context():
        workflows.import_file(CAFE)
        return plan()


def plan(name: str = "corner_cafe") -> int:
    """Plan a roster by a job; return the schedule's id."""
    run_id = workflows.request_run(name)
    finish_jobs()
    schedule_id = workflows.read_progress(run_id).schedule_id
    assert schedule_id is not None
    return schedule_id


def finish_jobs() -> None:
    """Wait for the jobs: the executor has one thread, which comes to this one after the others."""
    jobs.executor().submit(int).result(timeout=30)


@pytest.fixture
def instance1() -> Path:
    """The published instance; it is not shipped, so it may be absent."""
    default = CHECKOUT.parent / "shared" / "instances"
    path = Path(os.environ.get(INSTANCES_VARIABLE, default)) / "Instance1.txt"
    if not path.is_file():
        pytest.skip(f"{path} is absent; name its folder in {INSTANCES_VARIABLE}")
    return path


def connections_out(app: Flask) -> int:
    """Ask the pool of *app* how many connections are not back."""
    with app.app_context():
        pool = db.engine.pool
    count: int = pool.checkedout()  # type: ignore[attr-defined]
    return count


def stored(app: Flask) -> dict[str, int]:
    """Count rows over a connection that no session has."""
    with app.app_context(), db.engine.connect() as connection:
        published = select(func.count()).where(Schedule.status == Status.PUBLISHED)
        return {
            "schedules": connection.scalar(select(func.count(Schedule.id))) or 0,
            "published": connection.scalar(published) or 0,
            "shifts": connection.scalar(select(func.count(ShiftAssignment.id))) or 0,
            "audit": connection.scalar(select(func.count(AuditEntry.id))) or 0,
        }
