"""Services work only inside a scope; workflows store everything or nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from example_app import jobs, runs, services, storage, workflows
from example_app.instances import load_instance
from example_app.journal import Notification
from example_app.models import Wish
from example_app.problems import ConflictError, RuleBreachError
from flask_safesession import errors, session_manager

from .conftest import CAFE, stored

CALLS: list[Callable[[], object]] = [
    lambda: services.find_roster("corner_cafe"),
    lambda: services.find_schedule(1),
    lambda: services.import_roster(load_instance(CAFE), "corner_cafe"),
    lambda: jobs.request_run("corner_cafe", seconds=1),
    lambda: runs.begin_run(1),
    lambda: runs.recent_runs(),
    lambda: services.publish_schedule(1),
    lambda: services.set_shift(1, "Ana", 0, "E"),
    lambda: services.add_day_off("corner_cafe", "Ana", 0),
    lambda: services.add_request("corner_cafe", "Ana", 0, shift="E", wish=Wish.ON, weight=1),
    lambda: services.audit("created", "roster", 1, ""),
]


@pytest.mark.parametrize("call", CALLS)
def test_service_needs_a_scope(db_session: Session, call: Callable[[], object]) -> None:
    """Outside a scope nobody would commit what a service flushes."""
    with pytest.raises(errors.NoTransactionError):
        call()
    assert set(stored(db_session).values()) == {0}


def test_roster_survives_the_way_through_the_database(cafe: str) -> None:
    """What comes back from the rows is what was in the file."""
    with session_manager():
        assert storage.to_instance(services.find_roster(cafe)) == load_instance(CAFE)


def test_import_is_repeatable_but_replaces_nothing(db_session: Session, tmp_path: Path) -> None:
    """The same file changes nothing; another roster of the same name is refused."""
    other = tmp_path / "corner_cafe.txt"
    other.write_text(CAFE.read_text().replace("13,L,1,100,1", "13,L,2,100,1"))
    assert [workflows.import_file(CAFE).new for _ in range(2)] == [True, False]
    with pytest.raises(ConflictError, match="Another roster is called 'corner_cafe'"):
        workflows.import_file(other)
    assert stored(db_session)["audit_entry"] == 1


def test_everybody_is_told_after_publishing(draft: int, told: deque[Notification]) -> None:
    """Messages go out once the COMMIT is done, and not before."""
    with session_manager():
        services.publish_schedule(draft)
        assert not told
    assert [each.recipient for each in told][:2] == ["Ana", "Ben"]
    assert len(told) == 7


def test_failed_publish_leaves_nothing(
    db_session: Session, draft: int, told: deque[Notification]
) -> None:
    """Archiving, status, audit rows and messages are undone together."""
    before = stored(db_session)
    with pytest.raises(RuleBreachError, match="was not published"), session_manager():
        services.set_shift(draft, "Ana", 4, "E")
        services.publish_schedule(draft)
    assert not told
    assert stored(db_session) == before
