"""Nobody but its owner ends a transaction: which calls are refused, in which mode, and in which words."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import errors, session_manager

from .conftest import MakeKit
from .kit import AsyncKit


async def _enter(block: Any) -> None:
    async with block:
        pass


async def _connection(session: AsyncSession, call: str) -> None:
    await getattr(await session.connection(), call)()


Call = Callable[[AsyncSession], Awaitable[Any]]

# What somebody may do to the session, by the name that the message gives to it.
CALLS: dict[str, tuple[str, Call]] = {
    "commit": ("commit", lambda session: session.commit()),
    "rollback": ("rollback", lambda session: session.rollback()),
    "close": ("close", lambda session: session.close()),
    "aclose": ("close", lambda session: session.aclose()),
    "begin": ("begin", lambda session: _enter(session.begin())),
    "await begin": ("begin", lambda session: session.begin().start()),
    "prepare": ("prepare", lambda session: session.run_sync(lambda inner: inner.prepare())),
    "reset": ("reset", lambda session: session.reset()),
    "invalidate": ("invalidate", lambda session: session.invalidate()),
    "async with session": ("close", _enter),
    "run_sync": ("commit", lambda session: session.run_sync(lambda inner: inner.commit())),
    "connection.commit": ("commit", lambda session: _connection(session, "commit")),
    "connection.rollback": ("rollback", lambda session: _connection(session, "rollback")),
    "connection.close": ("close", lambda session: _connection(session, "close")),
}

each_call = pytest.mark.parametrize(("name", "call"), CALLS.values(), ids=CALLS)


@each_call
async def test_a_call_that_would_end_the_transaction_is_refused(
    kit: AsyncKit, name: str, call: Call
) -> None:
    """The error comes from the line of the call, and the scope commits afterwards as if nothing was."""
    async with session_manager() as session:
        session.add(kit.Item(name="before"))
        with pytest.raises(errors.TransactionOwnershipError, match=rf"called '{name}\(\)'"):
            await call(session)
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


@each_call
async def test_a_refused_call_that_is_let_out_rolls_back(
    sqlite_kit: AsyncKit, name: str, call: Call
) -> None:
    """Nothing of the transaction is stored."""
    with pytest.raises(errors.TransactionOwnershipError, match=name):
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="lost"))
            await call(session)
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


async def _service(session: AsyncSession) -> None:
    await session.commit()


async def test_the_message_names_the_call_and_both_places(sqlite_kit: AsyncKit) -> None:
    """Fact, cause in this program, call to make: with the file and line of the call and of the owner.

    Between them and the call are greenlets, SQLAlchemy and the event loop, none of which is named.
    """
    manager = session_manager(name="create_schedule")
    async with manager as session:
        with pytest.raises(errors.TransactionOwnershipError) as caught:
            await _service(session)
    here = Path(__file__).name
    call, owner = _service.__code__.co_firstlineno + 1, manager._place.line
    text = str(caught.value).replace(f"tests/asynchronous/scopes/{here}", here)
    assert text == (
        f"'_service' called 'commit()' ({here}:{call}) inside the transaction that 'create_schedule' "
        f"owns ({here}:{owner}). Call 'flush()' here, or let '_service' open its own transaction with "
        "'session_manager(propagation=\"requires_new\")'."
    )


async def _entering_service(session: AsyncSession) -> None:
    async with session:
        await session.flush()


async def test_a_double_context_manager(kit: AsyncKit) -> None:
    """``async with session:`` on a session that somebody else owns: both places are named.

    Stock SQLAlchemy closes it under its owner, who then commits nothing, in silence.
    """
    with pytest.raises(errors.TransactionOwnershipError) as caught:
        async with session_manager(name="owner") as session:
            session.add(kit.Item(name="lost"))
            await _entering_service(session)
    here = Path(__file__).name
    assert f"'_entering_service' called 'close()' (tests/asynchronous/scopes/{here}:" in str(
        caught.value
    )
    assert "inside the transaction that 'owner' owns" in str(caught.value)
    assert kit.names() == []


async def test_savepoints_and_flush_stay_allowed(kit: AsyncKit) -> None:
    """They end nothing."""
    async with session_manager() as session:
        session.add(kit.Item(name="flushed"))
        await session.flush()
        async with session.begin_nested():
            session.add(kit.Item(name="inside"))
        async with session.begin_nested() as savepoint:
            session.add(kit.Item(name="dropped"))
            await session.flush()
            await savepoint.rollback()
    assert kit.names() == ["flushed", "inside"]


async def test_off_lets_a_commit_through(make_kit: MakeKit) -> None:
    """The scope goes on with a transaction of its own."""
    kit = make_kit(options={"ownership": "off"})
    with kit.app.app_context(), pytest.raises(KeyError):
        async with session_manager() as session:
            session.add(kit.Item(name="stored"))
            await session.commit()
            session.add(kit.Item(name="lost"))
            await session.flush()
            raise KeyError
    assert (kit.names(), kit.checkedout()) == (["stored"], 0)


async def test_defer_makes_a_commit_a_flush(make_kit: MakeKit) -> None:
    """And a rollback rollback-only."""
    kit = make_kit(options={"ownership": "defer"})
    with kit.app.app_context():
        with pytest.raises(KeyError):
            async with session_manager() as session:
                session.add(kit.Item(name="lost"))
                await session.commit()
                raise KeyError
        with pytest.raises(errors.UnexpectedRollbackError):
            async with session_manager() as session:
                session.add(kit.Item(name="lost too"))
                await session.rollback()
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_warn_points_at_the_line_of_the_call(make_kit: MakeKit) -> None:
    """Once per place, and does it."""
    kit = make_kit(options={"ownership": "warn"})
    with kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with session_manager() as session:
            session.add(kit.Item(name="stored"))
            await _service(session)
    line = _service.__code__.co_firstlineno + 1
    found = [(each.category, each.filename, each.lineno) for each in caught]
    assert found == [(errors.OwnershipWarning, __file__, line)]
    assert kit.names() == ["stored"]


async def test_the_synchronous_session_inside_a_scope(sqlite_kit: AsyncKit) -> None:
    """The helpers of synchronous code say that they are none of it."""
    calls: list[Callable[[], object]] = [
        sqlite_kit.safe.safe_commit,
        lambda: sqlite_kit.safe.add_all_or_abort([]),
    ]
    for call in calls:
        async with session_manager(name="owner"):
            with pytest.raises(errors.TransactionActiveError) as caught:
                call()
        assert "()', which is synchronous, inside the asynchronous transaction that 'owner'" in str(
            caught.value
        )
