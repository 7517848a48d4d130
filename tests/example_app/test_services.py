"""The workflows on each of the three databases; what else they do, the tests of the app itself say."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from flask import Flask

from example_app import create_app, jobs, runs, workflows
from example_app.database import ensure_tables
from example_app.extensions import db
from example_app.search import Search
from flask_safesession import session_manager
from tests.databases import Database

from .conftest import CAFE, plan, stored


@pytest.fixture
def server_app(database: Database) -> Iterator[Flask]:
    """The planner on each of the three databases; its tables are gone afterwards."""
    app = create_app({"SQLALCHEMY_DATABASE_URI": database.url, "TESTING": True})
    with app.app_context():
        ensure_tables()
    yield app
    with app.app_context():
        jobs.executor().shutdown(drain=True, timeout=30)
        db.drop_all()
        db.engine.dispose()


def test_progress_on_each_database(server_app: Flask) -> None:
    """Reports of one scope are seen by the next; so is the wish to stop. The clock is exact."""
    search, before = Search(), time.time()
    search.objective, search.bound = 9, 2
    with server_app.app_context():
        workflows.import_file(CAFE)
        with session_manager():
            run_id = runs.queue_run("corner_cafe", seconds=5)
        with session_manager():
            assert runs.begin_run(run_id).seconds == 5
        with session_manager():
            assert runs.report(run_id, search) is False
        workflows.cancel_run(run_id)
        with session_manager():
            assert runs.report(run_id, search) is True
            assert before <= runs.find_run(run_id).job.heartbeat <= time.time()
        assert workflows.read_progress(run_id).quality == "cost 9 (at best 2)"


def test_main_job_on_each_database(server_app: Flask) -> None:
    """Import, plan, save and publish, twice: the first schedule is archived."""
    with server_app.app_context():
        for _ in range(2):
            workflows.import_file(CAFE)
            workflows.publish(plan())
        grid = workflows.read_grid(2)
    assert (grid.status, grid.cost, grid.breaches) == ("published", 3, ())
    counts = stored(server_app)
    assert (counts["schedules"], counts["published"]) == (2, 1)
    assert counts["audit"] == 1 + 2 * 5 + 1
