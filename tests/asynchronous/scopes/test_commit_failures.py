"""A COMMIT that fails, by each driver for coroutines: nothing of it is stored later by who gets the connection next."""

from __future__ import annotations

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flask_safesession import on_commit, on_rollback, session_manager

from .kit import AsyncKit


class ListenerError(Exception):
    """What the listener of a user raises."""


def _raise_after_flush(session: Session) -> None:
    session.flush()
    raise ListenerError


def _spoil(kit: AsyncKit, session: Session, how: str) -> type[Exception]:
    """Let the next COMMIT of *session* fail; MariaDB checks the key of ``late_child`` in the flush before it."""
    if how == "key":
        session.add(kit.models.LateChild(name="orphan", parent_id=-1))
        return IntegrityError
    event.listen(session, "before_commit", _raise_after_flush, once=True)
    return ListenerError


@pytest.mark.parametrize("how", ["key", "listener"])
async def test_a_failed_commit_of_a_scope_is_not_stored_by_the_next(
    every_kit: AsyncKit, how: str
) -> None:
    """The error is raised, the outcome is a rollback, and B stores only its own row."""
    ran: list[str] = []
    with pytest.raises((IntegrityError, ListenerError)) as caught:
        async with session_manager() as session:
            session.add(every_kit.Item(name="a"))
            on_commit(ran.append, "commit")
            on_rollback(ran.append, "rollback")
            error = _spoil(every_kit, session.sync_session, how)
    assert (caught.type, ran, every_kit.checkedout()) == (error, ["rollback"], 0)
    async with session_manager() as session:
        session.add(every_kit.Item(name="b"))
    assert every_kit.names() == ["b"]


@pytest.mark.parametrize("how", ["key", "listener"])
async def test_a_failed_commit_by_hand_is_not_stored_by_the_next(
    every_kit: AsyncKit, how: str
) -> None:
    """Nobody rolls back, the session is closed, and B stores only its own row."""
    async with every_kit.factory() as session:
        session.add(every_kit.Item(name="a"))
        error = _spoil(every_kit, session.sync_session, how)
        with pytest.raises(error):
            await session.commit()
    assert every_kit.checkedout() == 0
    async with every_kit.factory() as session:
        session.add(every_kit.Item(name="b"))
        await session.commit()
    assert every_kit.names() == ["b"]
