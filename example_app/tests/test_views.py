"""What the API answers, and what a failure leaves in the database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from flask_safesession.testing import CapturedHooks, Faults

from .conftest import finish_jobs, stored


def test_schedule_is_planned_and_published(client: FlaskClient, cafe: str) -> None:
    """The request only asks for a plan, its run tells what became of it."""
    asked = client.post(f"/api/rosters/{cafe}/schedules", headers={"X-Actor": "Kim"})
    assert asked.status_code == 202
    finish_jobs()
    run = client.get(asked.location).get_json()
    assert (run["state"], run["ended"], run["objective"]) == ("succeeded", True, 3)
    published = client.post(f"/api/schedules/{run['schedule_id']}/publish").get_json()
    assert published["status"] == "published"
    audit = client.get("/api/audit").get_json()
    assert [entry["action"] for entry in audit][:2] == ["published", "succeeded"]
    assert {entry["actor"] for entry in audit} >= {"api", "Kim"}


def test_one_wrong_change_undoes_the_others(
    client: FlaskClient, db_session: Session, draft: int
) -> None:
    """The first change was flushed, with its audit row; both are gone."""
    before = stored(db_session)
    changes = [
        {"employee": "Ana", "day": 0, "shift": None},
        {"employee": "Nobody", "day": 1, "shift": "E"},
    ]
    answer = client.put(f"/api/schedules/{draft}/shifts", json=changes)
    assert (answer.status_code, stored(db_session)) == (422, before)
    assert "There is no employee 'Nobody'" in answer.get_json()["error"]


def test_database_that_fails_is_answered(
    client: FlaskClient, db_session: Session, draft: int, faults: Faults
) -> None:
    """The COMMIT fails, so nothing is stored; the client may come again."""
    before = stored(db_session)
    faults.fail("commit", error="lock_timeout")
    answer = client.post(f"/api/schedules/{draft}/publish")
    assert (answer.status_code, stored(db_session)) == (503, before)
    assert client.post(f"/api/schedules/{draft}/publish").status_code == 200


def test_job_is_asked_for_only_when_the_run_is_stored(
    client: FlaskClient,
    cafe: str,
    captured_commit_hooks: Callable[[], AbstractContextManager[CapturedHooks]],
) -> None:
    """It waits for the COMMIT; a request that is refused starts none."""
    with captured_commit_hooks() as hooks:
        client.post(f"/api/rosters/{cafe}/schedules", json={"seconds": 99})
        assert hooks == []
        client.post(f"/api/rosters/{cafe}/schedules")
    assert hooks == ["_submit"]
