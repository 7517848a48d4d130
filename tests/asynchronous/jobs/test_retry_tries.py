"""What is tried again in coroutines, how often, and with which session."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import (
    RetryPolicy,
    current_scope,
    session_manager,
    transactional,
)

from ...retry.faults import QUICK, locked, notes
from ..scopes.kit import AsyncKit, current_session

_SERVERS = (
    pytest.param("asyncpg", marks=pytest.mark.postgresql),
    pytest.param("asyncmy", marks=pytest.mark.mariadb),
)


def _attempt() -> int:
    scope = current_scope()
    assert scope is not None
    return scope.attempt


async def test_each_try_has_a_session_of_its_own(any_kit: AsyncKit) -> None:
    """Nothing that a failed try has loaded or left unflushed is there in the next one."""
    seen: list[tuple[AsyncSession, int]] = []

    async def work() -> None:
        async with session_manager() as session:
            seen.append((session, len(session.identity_map) + len(session.new)))
            session.add(any_kit.Item(name=f"flushed {_attempt()}"))
            await session.flush()
            session.add(any_kit.Item(name=f"pending {_attempt()}"))
        if _attempt() < 3:
            raise locked()

    await any_kit.safe.run(work, retry=QUICK)
    assert [count for _, count in seen] == [0, 0, 0]
    assert len({id(session) for session, _ in seen}) == 3
    assert any_kit.names() == ["flushed 3", "pending 3"]


async def test_an_error_that_commits_is_not_tried_again(sqlite_kit: AsyncKit) -> None:
    """``commit_on`` has stored the work before the error goes on."""
    tries = []

    @transactional(retry=QUICK, commit_on=type(locked()))
    async def work() -> None:
        tries.append(_attempt())
        (await current_session()).add(sqlite_kit.Item(name="a"))
        raise locked()

    with pytest.raises(Exception, match="locked"):
        await work()
    assert (tries, sqlite_kit.names()) == ([1], ["a"])


async def test_a_constraint_is_not_tried_again(kit: AsyncKit) -> None:
    """It would break again."""
    tries = []

    async def work() -> None:
        tries.append(_attempt())
        (await current_session()).add_all([kit.Item(name="a"), kit.Item(name="a")])

    with pytest.raises(IntegrityError) as caught:
        await kit.safe.run(work, retry=QUICK)
    assert (tries, notes(caught.value)) == ([1], [])


async def test_exhaustion_raises_the_last_error_with_a_note_of_every_try(
    sqlite_kit: AsyncKit,
) -> None:
    """It is the driver's error itself, with its traceback."""
    raised = [locked(), locked(), locked()]
    left = iter(raised)

    async def work() -> None:
        raise next(left)

    with pytest.raises(Exception, match="locked") as caught:
        await sqlite_kit.safe.run(work, retry=QUICK)
    assert caught.value is raised[2]
    assert [note.partition(" failed")[0] for note in notes(caught.value)] == [
        "Try 1 of 3",
        "Try 2 of 3",
        "Try 3 of 3",
    ]
    assert caught.traceback[-1].name == "work"
    assert (
        "lock_timeout (SQLITE_BUSY): OperationalError: database is locked."
        in notes(caught.value)[0]
    )


async def test_another_error_on_the_way_has_the_notes_too(sqlite_kit: AsyncKit) -> None:
    """What comes after a conflict may be its consequence."""

    async def work() -> None:
        if _attempt() == 1:
            raise locked()
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone") as caught:
        await sqlite_kit.safe.run(work, retry=QUICK)
    first, second = notes(caught.value)
    assert first.startswith("Try 1 of 3 failed")
    assert second.startswith("Try 2 of 3 failed")
    assert second.endswith("after the start: ValueError: gone.")


async def test_the_time_is_finite(sqlite_kit: AsyncKit) -> None:
    """No try begins after ``max_elapsed``."""
    tries = []

    async def work() -> None:
        tries.append(_attempt())
        raise locked()

    policy = RetryPolicy(attempts=10000, base_delay=0.02, max_delay=0.02, max_elapsed=0.1)
    with pytest.raises(Exception, match="locked"):
        await sqlite_kit.safe.run(work, retry=policy)
    assert 2 < len(tries) < 10000


@pytest.mark.parametrize("propagation", ["requires_new", "nested"])
async def test_no_part_of_a_scope_is_tried_again(kit: AsyncKit, propagation: str) -> None:
    """Neither a savepoint nor a transaction of its own, during whose wait the outer one would hold its connection."""
    tries = []

    @transactional(propagation=propagation, retry=QUICK)
    async def part() -> None:
        tries.append(1)
        raise locked()

    async with session_manager():
        with pytest.raises(Exception, match="locked"):
            await part()
    assert tries == [1]


async def test_nor_where_a_scope_is_suspended(kit: AsyncKit) -> None:
    """Its transaction is open, though there is no scope to join."""
    tries = []

    @transactional(retry=QUICK)
    async def part() -> None:
        tries.append(1)
        raise locked()

    async with session_manager():
        async with session_manager(propagation="not_supported"):
            with pytest.raises(Exception, match="locked"):
                await part()
    assert tries == [1]


async def test_scope_options_hold_in_each_try(kit: AsyncKit) -> None:
    """A level and a name are those of every try."""
    seen = []

    async def work() -> None:
        scope = current_scope()
        assert scope is not None
        seen.append((scope.name, scope.depth, scope.options.isolation_level))
        if scope.attempt < 2:
            raise locked()

    await kit.safe.run(work, retry=QUICK, isolation_level="SERIALIZABLE", name="transfer")
    assert seen == [("transfer", 1, "SERIALIZABLE")] * 2
