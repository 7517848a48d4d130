"""Blocks that are tried again in coroutines: how they are left, and with which options."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from flask_safesession import attempts, current_scope

from ...retry.faults import QUICK, conflict, locked, notes
from ..scopes.kit import AsyncKit


async def test_the_last_error_leaves_the_with_block(kit: AsyncKit) -> None:
    """It can be caught around the block, and around the loop."""
    caught = []
    with pytest.raises(Exception, match=r"conflict|locked|1213") as left:
        async for attempt in attempts(QUICK):
            try:
                async with attempt as session:
                    await session.run_sync(conflict, kit.database.dialect)
            except Exception as error:
                caught.append(error)
                raise
    assert caught == [left.value]
    assert len(notes(left.value)) == 3


async def test_an_error_that_is_not_worth_it_leaves_at_once(sqlite_kit: AsyncKit) -> None:
    """So does what ends the program."""
    tries = []
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            async for attempt in attempts(QUICK):
                async with attempt:
                    tries.append(error)
                    raise error
    assert tries == [ValueError, KeyboardInterrupt]


async def test_an_error_of_the_commit_leaves_too(kit: AsyncKit) -> None:
    """What the end of the block raises, here for a duplicate, is not tried again if it is not worth it."""
    with pytest.raises(IntegrityError) as caught:
        async for attempt in attempts(QUICK):
            async with attempt as session:
                session.add_all([kit.Item(name="a"), kit.Item(name="a")])
    assert notes(caught.value) == []


async def test_return_and_break_commit(sqlite_kit: AsyncKit) -> None:
    """They leave the block without an error."""

    async def store() -> str:
        async for attempt in attempts(QUICK):
            async with attempt as session:
                session.add(sqlite_kit.Item(name="returned"))
                return "done"
        raise AssertionError

    assert await store() == "done"
    async for attempt in attempts(QUICK):
        async with attempt as session:
            session.add(sqlite_kit.Item(name="broken off"))
            break
    assert sqlite_kit.names() == ["broken off", "returned"]


async def test_options_of_the_scope(kit: AsyncKit) -> None:
    """A level, a name and so on hold in each try."""
    async for attempt in kit.safe.attempts(3, isolation_level="SERIALIZABLE", name="transfer"):
        async with attempt:
            scope = current_scope()
            assert scope is not None
            seen = (scope.name, scope.options.isolation_level)
    assert seen == ("transfer", "SERIALIZABLE")


async def test_the_name_of_the_scope_is_that_of_the_function(sqlite_kit: AsyncKit) -> None:
    """Its place is the line of ``attempts()``."""
    async for attempt in attempts():
        async with attempt:
            scope = current_scope()
            assert scope is not None
            assert scope.name == "test_the_name_of_the_scope_is_that_of_the_function"


@pytest.mark.parametrize("off", [False, 1])
async def test_one_try(sqlite_kit: AsyncKit, off: int) -> None:
    """A policy can be switched off, for example by a setting of the app."""
    tries = []
    with pytest.raises(Exception, match="locked"):
        async for attempt in attempts(off):
            async with attempt:
                tries.append(1)
                raise locked()
    assert tries == [1]
