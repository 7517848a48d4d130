"""What the code under test has sent."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from flask_safesession import session_manager
from flask_safesession.testing import RollbackIsolation, assert_statements, recorded_statements
from tests.kit import Kit


def test_statements_are_listed(kit: Kit) -> None:
    """In their order, without what the isolation sends."""
    with RollbackIsolation(kit.app), kit.app.app_context(), recorded_statements(kit.app) as sent:
        with session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            session.scalars(select(kit.Item.name)).all()
    assert [each.split()[0] for each in sent] == ["INSERT", "SELECT"]


def test_the_number_is_as_expected(sqlite_kit: Kit) -> None:
    """Also without any isolation."""
    with (
        sqlite_kit.app.app_context(),
        assert_statements(sqlite_kit.app, 1),
        session_manager() as session,
    ):
        session.scalars(select(sqlite_kit.Item.name)).all()


def test_the_number_is_another(sqlite_kit: Kit) -> None:
    """The failure lists what was sent."""
    kit = sqlite_kit
    message = r"^1 statement\(s\) were sent where 0 were expected:\n1\. SELECT item"
    with kit.app.app_context(), pytest.raises(AssertionError, match=message):
        with assert_statements(kit.app, 0), session_manager() as session:
            session.scalars(select(kit.Item.name)).all()
