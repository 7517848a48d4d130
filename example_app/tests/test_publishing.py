"""Nightly publishing: what one roster does to the others."""

from __future__ import annotations

from collections import deque

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from example_app import publishing, services, workflows
from example_app.journal import Notification
from example_app.models import AuditEntry, Schedule
from flask_safesession import session_manager
from flask_safesession.testing import Faults

from .conftest import CAFE, plan


def statuses(session: Session) -> dict[int, str]:
    """The status of each schedule, by its id."""
    rows = session.execute(select(Schedule.id, Schedule.status).order_by(Schedule.id))
    return {row.id: row.status.value for row in rows}


def actions(session: Session) -> list[str]:
    """What the scheduler has written into the audit."""
    entries = select(AuditEntry.action).where(AuditEntry.actor == "scheduler")
    return list(session.scalars(entries.order_by(AuditEntry.id)))


@pytest.fixture
def broken(draft: int) -> int:
    """A newer draft, in which Ana has a shift on her day off."""
    schedule_id = plan("corner_cafe")
    with session_manager():
        services.set_shift(schedule_id, "Ana", 4, "E")
    return schedule_id


def test_draft_that_breaks_a_rule_is_left_alone(
    db_session: Session, draft: int, broken: int, told: deque[Notification]
) -> None:
    """It gets an audit row and the older draft is published; messages go out for that one only."""
    [outcome] = publishing.publish_newest_drafts()
    assert (outcome.number, len(outcome.problems)) == (1, 1)
    assert "Schedule 2 of 'corner_cafe' breaks" in str(outcome)
    assert statuses(db_session) == {draft: "published", broken: "draft"}
    assert actions(db_session) == ["left alone", "published"]
    assert {note.text for note in told} == {"Schedule 1 of corner_cafe is in force."}


def test_nothing_is_published_where_all_drafts_break_rules(
    db_session: Session, draft: int, broken: int
) -> None:
    """What is in force stays so: its archiving was undone with the draft's savepoint."""
    workflows.publish(draft)
    [outcome] = publishing.publish_newest_drafts()
    assert outcome.number is None
    assert statuses(db_session) == {draft: "published", broken: "draft"}
    assert actions(db_session) == ["left alone"]


def test_older_draft_does_not_replace_a_newer_schedule(db_session: Session, draft: int) -> None:
    """What is in force was chosen by somebody who had seen the older draft."""
    newer = plan("corner_cafe")
    workflows.publish(newer)
    publishing.publish_newest_drafts()
    assert statuses(db_session) == {draft: "draft", newer: "published"}


def test_roster_that_fails_does_not_stop_the_others(
    db_session: Session, draft: int, faults: Faults
) -> None:
    """Each roster is a unit of its own: the first one's COMMIT fails, the second one is stored."""
    workflows.import_file(CAFE, "a_bar")
    other = plan("a_bar")
    faults.fail("commit", nth=2, error="disk_full")
    failed, published = publishing.publish_newest_drafts()
    assert (failed.number, published.number) == (None, 1)
    assert "full" in str(failed)
    assert statuses(db_session) == {draft: "published", other: "draft"}
