"""A COMMIT that fails, by each driver for coroutines: nothing of it is stored later by who gets the connection next."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from flask_safesession import classify, on_commit, on_rollback, on_unknown, session_manager
from flask_safesession.errors import (
    CommitOutcomeUnknownError,
    PartialCommitError,
    UnexpectedRollbackError,
)

from ...test_commit_failures import AT_ONCE, PREPARE_ERRORS
from .conftest import MakeKit
from .kit import FLAVOURS, AsyncKit, current


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


def _without_a_scope() -> Any:
    """A block in which code writes its transactions by hand."""
    return session_manager(propagation="supports")


@contextmanager
def _reader(url: str, table: str = "item") -> Iterator[None]:
    """Read from a SQLite file all the time: without WAL no COMMIT gets its lock meanwhile."""
    path = make_url(url).database
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute(f"SELECT * FROM {table}").fetchall()
        yield


async def _raise() -> None:
    raise ListenerError


async def test_a_locked_commit_is_not_stored_by_the_next(make_kit: MakeKit) -> None:
    """The error is the driver's, and B stores only its own row."""
    kit = make_kit(engine_options=AT_ONCE)
    with kit.app.app_context():
        with _reader(kit.database.url), pytest.raises(OperationalError, match="locked"):
            async with session_manager() as session:
                scope = current()
                session.add(kit.Item(name="a"))
        assert (scope.outcome, kit.checkedout()) == ("rolled_back", 0)
        async with session_manager() as session:
            session.add(kit.Item(name="b"))
    assert kit.names() == ["b"]


@pytest.mark.parametrize("how", ["key", "listener"])
async def test_a_failed_commit_by_hand_is_over_after_its_rollback(
    every_kit: AsyncKit, how: str
) -> None:
    """The same session goes on as the documentation of SQLAlchemy says."""
    async with _without_a_scope() as session:
        session.add(every_kit.Item(name="a"))
        error = _spoil(every_kit, session.sync_session, how)
        with pytest.raises(error):
            await session.commit()
        await session.rollback()
        session.add(every_kit.Item(name="b"))
        await session.commit()
    assert every_kit.names() == ["b"]


@pytest.mark.parametrize("how", ["key", "listener"])
async def test_a_failed_commit_leaves_a_clean_connection_after_a_close(
    every_kit: AsyncKit, how: str
) -> None:
    """``close()`` alone is enough, though it sends no rollback of its own."""
    async with _without_a_scope() as session:
        session.add(every_kit.Item(name="a"))
        error = _spoil(every_kit, session.sync_session, how)
        with pytest.raises(error):
            await session.commit()
        await session.close()
        async with every_kit.engine.begin() as connection:
            await connection.execute(insert(every_kit.Item.__table__).values(name="core"))
    assert every_kit.names() == ["core"]


def test_a_failed_commit_of_a_request_is_not_stored_by_the_next(make_kit: MakeKit) -> None:
    """A's view fails with "database is locked", and A's row stays lost."""
    kit = make_kit(engine_options=AT_ONCE, options={"http_errors": "off"})

    @kit.app.post("/<name>")
    async def store(name: str) -> str:
        async with _without_a_scope() as session:
            session.add(kit.Item(name=name))
            await session.commit()
        return name

    with _reader(kit.database.url), pytest.raises(OperationalError, match="locked"):
        kit.client.post("/a")
    assert kit.client.post("/b").status_code == 200
    assert kit.names() == ["b"]


async def test_a_hook_that_raises_leaves_the_row_and_no_open_transaction(kit: AsyncKit) -> None:
    """The COMMIT was done; the next scope works as ever."""
    with pytest.raises(ListenerError):
        async with session_manager() as session:
            session.add(kit.Item(name="a"))
            on_commit(_raise)
    assert kit.checkedout() == 0
    async with session_manager() as session:
        session.add(kit.Item(name="b"))
    assert kit.names() == ["a", "b"]


async def test_a_hook_that_raises_after_a_commit_by_hand_leaves_the_session_usable(
    kit: AsyncKit,
) -> None:
    """User code inside SQLAlchemy's own ``after_commit`` would wedge it."""
    async with _without_a_scope() as session:
        session.add(kit.Item(name="a"))
        await session.flush()
        on_commit(_raise)
        with pytest.raises(ListenerError):
            await session.commit()
        session.add(kit.Item(name="b"))
        await session.commit()
    assert kit.names() == ["a", "b"]


async def test_a_listener_of_after_commit_that_raises_wedges_nothing(kit: AsyncKit) -> None:
    """SQLAlchemy's own event, in a scope: the row is stored, the outcome says so, and B works."""

    def after_commit(session: Session) -> None:
        raise ListenerError

    with pytest.raises(ListenerError):
        async with session_manager() as session:
            event.listen(session.sync_session, "after_commit", after_commit, once=True)
            scope = current()
            session.add(kit.Item(name="a"))
    assert (scope.outcome, kit.checkedout()) == ("committed", 0)
    async with session_manager() as session:
        session.add(kit.Item(name="b"))
    assert kit.names() == ["a", "b"]


_OWN = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT connection_id()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({}, 5000)", "mariadb": "KILL {}"}


async def _kill(kit: AsyncKit, session: AsyncSession) -> None:
    """Let the server end the connection of *session*, which does not learn of it before COMMIT."""
    process = await session.scalar(text(_OWN[kit.database.dialect]))
    async with kit.engine.connect() as other:
        await other.execute(text(_KILL[kit.database.dialect].format(process)))


@pytest.fixture(params=["asyncpg", "psycopg", "asyncmy", "aiomysql"])
def server_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """Each driver of a server."""
    return make_kit(request.param)


async def test_a_connection_lost_in_commit_leaves_the_outcome_unknown(server_kit: AsyncKit) -> None:
    """The reply to COMMIT is missing: neither stored nor rolled back may be said.

    asyncpg hears of it before COMMIT is sent, so there it is known.
    """
    kit, ran = server_kit, list[str]()
    with kit.app.app_context():
        with pytest.raises((CommitOutcomeUnknownError, DBAPIError)) as caught:
            async with session_manager() as session:
                scope = current()
                session.add(kit.Item(name="a"))
                on_commit(ran.append, "commit")
                on_rollback(ran.append, "rolled_back")
                on_unknown(ran.append, "unknown")
                await session.flush()
                await _kill(kit, session)
        assert (ran, kit.checkedout()) == ([scope.outcome], 0)
        unknown = isinstance(caught.value, CommitOutcomeUnknownError)
        assert (scope.outcome == "unknown") is unknown
        expected = "commit_unknown" if unknown else "connection_lost"
        assert classify(caught.value).category == expected
        async with session_manager() as session:
            session.add(kit.Item(name="b"))
    assert kit.names() == ["b"]


async def test_a_connection_lost_in_a_commit_by_hand_keeps_the_drivers_error(
    server_kit: AsyncKit,
) -> None:
    """``classify()`` says what it is, and the hooks of that outcome run."""
    kit, ran = server_kit, list[str]()
    with kit.app.app_context():
        async with _without_a_scope() as session:
            session.add(kit.Item(name="a"))
            await session.flush()
            on_rollback(ran.append, "connection_lost")
            on_unknown(ran.append, "commit_unknown")
            await _kill(kit, session)
            with pytest.raises(DBAPIError) as caught:
                await session.commit()
            await session.rollback()
            assert ran == [classify(caught.value).category]
            session.add(kit.Item(name="b"))
            await session.commit()
    assert kit.names() == ["b"]


async def test_a_connection_lost_before_the_last_flush_is_not_unknown(server_kit: AsyncKit) -> None:
    """COMMIT was never sent, so nothing is stored for sure."""
    kit = server_kit
    with kit.app.app_context(), pytest.raises(DBAPIError):
        async with session_manager() as session:
            scope = current()
            session.add(kit.Item(name="a"))
            with session.no_autoflush:
                await _kill(kit, session)
    assert (scope.outcome, kit.names()) == ("rolled_back", [])


async def _add_both(kit: AsyncKit, session: AsyncSession) -> None:
    # The second first: the order of the COMMITs does not follow that of the statements.
    session.add(kit.Other(name="a"))
    await session.flush()
    session.add(kit.Item(name="a"))


@pytest.fixture(params=FLAVOURS)
def any_two(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """Each way of having sessions, with two databases."""
    return make_kit(flavour=request.param, binds=True, engine_options=AT_ONCE)


async def test_several_engines_commit_together(any_two: AsyncKit) -> None:
    """One scope, two databases, and both rows are stored."""
    async with session_manager() as session:
        await _add_both(any_two, session)
    assert (any_two.names(), any_two.other_names(), any_two.checkedout()) == (["a"], ["a"], 0)


async def test_several_engines_roll_back_together(any_two: AsyncKit) -> None:
    """And neither is."""
    with pytest.raises(KeyError):
        async with session_manager() as session:
            await _add_both(any_two, session)
            await session.flush()
            raise KeyError
    assert (any_two.names(), any_two.other_names(), any_two.checkedout()) == ([], [], 0)


async def test_the_main_database_commits_first_and_its_failure_stores_nothing(
    any_two: AsyncKit,
) -> None:
    """The error is the driver's own: nothing is partial."""
    with _reader(any_two.database.url), pytest.raises(OperationalError, match="locked"):
        async with session_manager() as session:
            await _add_both(any_two, session)
    assert (any_two.names(), any_two.other_names()) == ([], [])


async def test_a_later_commit_that_fails_is_partial(any_two: AsyncKit) -> None:
    """The error names what was stored and what was not, with the driver's error as its cause."""
    with _reader(any_two.database.second_url, "other"):
        with pytest.raises(PartialCommitError) as caught:
            async with session_manager() as session:
                scope = current()
                await _add_both(any_two, session)
    assert (len(caught.value.stored), len(caught.value.not_stored)) == (1, 1)
    assert isinstance(caught.value.__cause__, OperationalError)
    assert scope.outcome == "unknown"
    assert (any_two.names(), any_two.other_names()) == (["a"], [])


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("twophase", [False, True])
async def test_every_database_is_checked_before_the_first_commit(
    make_kit: MakeKit, driver: str, twophase: bool
) -> None:
    """A swallowed failure on the second one keeps the first from being stored, or prepared."""
    kit = make_kit(driver, binds=True, options={"twophase": twophase})
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            await _add_both(kit, session)
            await session.flush()
            second = await session.connection(bind_arguments={"mapper": kit.Other.__mapper__})
            with pytest.raises(DBAPIError):
                await second.exec_driver_sql("SELECT 1 / 0")
    assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


TWO_PHASES = ["psycopg", "asyncmy", "aiomysql"]


async def _can_prepare(kit: AsyncKit) -> bool:
    """Whether the server lets transactions be prepared; PostgreSQL does not by default."""
    if kit.database.dialect == "mariadb":
        return True
    async with kit.engine.connect() as connection:
        return bool(await connection.scalar(text("SHOW max_prepared_transactions")) != "0")


@pytest.mark.parametrize("driver", TWO_PHASES)
async def test_two_phases_store_on_both_or_say_why_not(make_kit: MakeKit, driver: str) -> None:
    """Where the server refuses to prepare, its error is raised and nothing is stored."""
    kit = make_kit(driver, binds=True, options={"twophase": True})
    with kit.app.app_context():
        if await _can_prepare(kit):
            async with session_manager() as session:
                await _add_both(kit, session)
                assert session.sync_session.twophase
            assert (kit.names(), kit.other_names()) == (["a"], ["a"])
            return
        with pytest.raises(PREPARE_ERRORS):
            async with session_manager() as session:
                await _add_both(kit, session)
        assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)


@pytest.mark.parametrize("driver", TWO_PHASES)
async def test_two_phases_roll_back_together(make_kit: MakeKit, driver: str) -> None:
    """An exception leaves nothing on either, prepared transactions included."""
    kit = make_kit(driver, binds=True, options={"twophase": True})
    with kit.app.app_context(), pytest.raises(KeyError):
        async with session_manager() as session:
            await _add_both(kit, session)
            await session.flush()
            raise KeyError
    assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], [], 0)
