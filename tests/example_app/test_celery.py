"""The same job by Celery, on Redis, with a real worker in a process of its own."""

from __future__ import annotations

import gc
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from redis import Redis
from sqlalchemy import select

from example_app import create_app, workflows
from example_app.database import ensure_tables
from example_app.extensions import db
from example_app.models import AuditEntry
from tests.workers import StartWorker, Worker

from .conftest import CAFE, stored

pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def environ(redis_url: str, database_url: str) -> Iterator[dict[str, str]]:
    """What the web server, the command line and the worker are told; all keys on Redis are ours."""
    prefix = f"safesession-example-{uuid.uuid4()}"
    yield {
        "CELERY_BROKER_URL": redis_url,
        "FLASK_CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps({"global_keyprefix": prefix}),
        "FLASK_CELERY_TASK_DEFAULT_QUEUE": prefix,
        "FLASK_SQLALCHEMY_DATABASE_URI": database_url,
    }
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter(f"{prefix}*", count=10_000):
            redis.delete(key)


@pytest.fixture
def celery_worker(start_worker: StartWorker, environ: dict[str, str]) -> Iterator[Worker]:
    """A worker with a forked process, as it is started by default."""
    worker = start_worker(
        *("-m", "celery", "-A", "example_app.celery_app", "worker", "-c", "1", "-l", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "-n", uuid.uuid4().hex),
        environ=environ,
    )
    worker.wait_for("ready")
    yield worker
    worker.stop()


@pytest.fixture
def app(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The web server, which sends to the broker."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "example_app.celery_app", raising=False)
    app = create_app({"TESTING": True})
    with app.app_context():
        ensure_tables()
        workflows.import_file(CAFE)
    yield app
    with app.app_context():
        db.engine.dispose()
    if "example_app.celery_app" in sys.modules:
        sys.modules["example_app.celery_app"].celery.close()
    gc.collect()  # the client of Redis leaves its sockets to the collector


def test_worker_plans_what_the_page_asked_for(
    app: Flask, client: FlaskClient, celery_worker: Worker
) -> None:
    """The web server only sends; the row that the worker writes is on the page."""
    asked = client.post("/rosters/corner_cafe/generate")
    assert (asked.status_code, asked.location) == (202, "/runs/1")
    celery_worker.wait_for(r"Task example_app.generate\[.*\] succeeded")
    page = client.get(asked.location).text
    assert ('id="state">succeeded<' in page, "cost 3 (proven optimal)" in page) == (True, True)
    assert app.extensions["example_app.executor"]._threads == set()
    with app.app_context(), db.engine.connect() as connection:
        assert set(connection.scalars(select(AuditEntry.actor))) == {"command line", "web page"}


def test_command_follows_the_worker(
    app: Flask, celery_worker: Worker, start_worker: StartWorker, environ: dict[str, str]
) -> None:
    """Three processes: one asks and shows the bar, one plans, this one counts."""
    command = start_worker("-m", "flask", "--app", "example_app", "generate", environ=environ)
    assert command.wait() == 0, command.output
    assert "Schedule 1: cost 3 (proven optimal)" in command.output
    celery_worker.wait_for(r"Task example_app.generate\[.*\] succeeded")
    assert stored(app)["schedules"] == 1


def test_missing_celery_names_the_extra(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker without Celery: one line says what to install, and nothing is queued."""
    monkeypatch.setitem(sys.modules, "celery", None)
    answer = client.post("/api/rosters/corner_cafe/schedules")
    assert answer.status_code == 501
    assert "pip install 'flask-safesession[celery]'" in answer.get_json()["error"]
    assert client.get("/api/runs/1").status_code == 404
    page = client.post("/rosters/corner_cafe/generate")
    assert (page.status_code, "flask-safesession[celery]" in page.text) == (501, True)


def test_other_database_is_planned_here(app: Flask, runner: FlaskCliRunner, tmp_path: Path) -> None:
    """A worker knows its own database only, so that '--database' is a matter for this process."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    result = runner.invoke(args=["demo", "--database", url])
    assert result.exit_code == 0, result.output
    assert stored(app)["schedules"] == 0
