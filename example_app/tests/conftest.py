"""The planner on a database of this process alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from example_app import create_app, jobs, workflows
from example_app.database import ensure_tables
from example_app.extensions import db
from example_app.journal import Notification, journal
from example_app.models import AuditEntry, Schedule, ShiftAssignment

CAFE = Path(__file__).parents[1] / "data" / "corner_cafe.txt"


@pytest.fixture(scope="session")
def app(safesession_database_url: str) -> Iterator[Flask]:
    """The planner, with its tables and nothing in them."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": safesession_database_url, "TESTING": True})
    with app.app_context():
        ensure_tables()
    yield app
    with app.app_context():
        jobs.executor().shutdown()
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser without cookies."""
    return app.test_client()


@pytest.fixture
def told(db_session: Session) -> deque[Notification]:
    """The messages that went out in the test."""
    journal().notifications.clear()
    return journal().notifications


@pytest.fixture
def cafe(db_session: Session) -> str:
    """The name of a roster that is stored."""
    return workflows.import_file(CAFE).name


@pytest.fixture
def draft(cafe: str) -> int:
    """The id of a schedule of the cafe that could be published."""
    return plan(cafe)


def plan(roster: str) -> int:
    """Have a roster planned by a job; return the id of the schedule."""
    run_id = workflows.request_run(roster)
    finish_jobs()
    schedule_id = workflows.read_progress(run_id).schedule_id
    assert schedule_id is not None
    return schedule_id


def finish_jobs() -> None:
    """Wait for the jobs: the executor has one thread, which comes to this one after the others."""
    jobs.executor().submit(int).result(timeout=30)


def stored(session: Session) -> dict[str, int]:
    """Count the rows that a failure must not change."""
    counted = (Schedule, ShiftAssignment, AuditEntry)
    return {each.__tablename__: session.query(each).count() for each in counted}
