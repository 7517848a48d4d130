"""The coroutines: an async view, and the nightly job that waits for many at once."""

from __future__ import annotations

import asyncio

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from example_app import payroll, workflows
from example_app.models import AuditEntry
from example_app.problems import PlannerError
from flask_safesession import errors

from .conftest import CAFE, plan


@pytest.fixture
def in_force(transactional_db: Session) -> list[int]:
    """Two schedules of different rosters that are in force, committed: async sessions would not see them else."""
    names = [workflows.import_file(CAFE, name).name for name in ("bar", "cafe")]
    schedules = [plan(name) for name in names]
    for schedule_id in schedules:
        workflows.publish(schedule_id)
    return schedules


def entries(session: Session) -> list[tuple[int, str]]:
    """What the payroll has written into the audit: of which schedule, and what."""
    found = select(AuditEntry.entity_id, AuditEntry.action)
    rows = session.execute(found.where(AuditEntry.action.like("%payroll")))
    return sorted((row.entity_id, row.action) for row in rows)


def test_async_view_reads_in_one_scope(client: FlaskClient, in_force: list[int]) -> None:
    """The service joins the scope of the view."""
    minutes = client.get(f"/api/schedules/{in_force[0]}/minutes").get_json()
    assert list(minutes) == ["Ana", "Ben", "Cleo", "Dov", "Eli", "Fay", "Gus"]
    assert 3360 <= minutes["Ana"] <= 4320
    assert client.get("/api/schedules/99/minutes").status_code == 404


def test_async_view_sends_in_phases(client: FlaskClient, in_force: list[int]) -> None:
    """It has the receipt when it answers, and that is in the audit, in the name of who asked."""
    answer = client.post(f"/api/schedules/{in_force[0]}/payroll", headers={"X-Actor": "Kim"})
    assert "hours of 7 people" in answer.get_json()["receipt"]
    newest = client.get("/api/audit").get_json()[0]
    assert (newest["actor"], newest["action"]) == ("Kim", "sent to payroll")


def test_service_needs_a_scope(app: Flask) -> None:
    """A coroutine of its own, too."""
    with app.app_context(), pytest.raises(errors.NoTransactionError):
        asyncio.run(payroll.minutes_of(1))


def test_nightly_payroll(
    transactional_db: Session, in_force: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All wait at once, holding no connection; one that is refused stops nobody, and goes out the next night."""
    out = list[int]()
    all_wait = asyncio.Event()

    async def office(schedule_id: int, minutes: payroll.Minutes) -> str:
        out.append(schedule_id)
        if len(out) == len(in_force):
            all_wait.set()
        await all_wait.wait()
        if schedule_id == in_force[0]:
            raise PlannerError("The office is closed.")
        return "receipt"

    with monkeypatch.context() as patch:
        patch.setattr(payroll, "office", office)
        told = asyncio.run(payroll.send_all())
    assert sorted(told) == ["The office is closed.", "receipt"]
    refused, sent = in_force
    assert entries(transactional_db) == [
        (refused, "not sent to payroll"),
        (sent, "sent to payroll"),
    ]

    [receipt] = asyncio.run(payroll.send_all())
    assert receipt.startswith(f"schedule {refused}: ")
    assert asyncio.run(payroll.send_all()) == []
