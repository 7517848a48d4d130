"""``@transactional`` and ``requires_transaction`` on coroutine functions."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flask_safesession import (
    current_scope,
    errors,
    requires_transaction,
    session_manager,
    transactional,
)

from .kit import AsyncKit


async def test_a_function_commits(kit: AsyncKit) -> None:
    """It goes on being a coroutine function, and works with the session of its scope."""

    @transactional
    async def store(name: str) -> str:
        async with session_manager() as session:
            session.add(kit.Item(name=name))
        return name

    assert inspect.iscoroutinefunction(store)
    assert (await store("stored"), kit.names()) == ("stored", ["stored"])


async def test_a_function_rolls_back(kit: AsyncKit) -> None:
    """An exception that leaves it is the same object."""
    error = KeyError()

    @transactional(name="other")
    async def store() -> None:
        scope = current_scope()
        assert scope is not None
        assert scope.name == "other"
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            await session.flush()
        raise error

    with pytest.raises(KeyError) as caught:
        await store()
    assert (caught.value is error, kit.names(), kit.checkedout()) == (True, [], 0)


async def test_commit_on(sqlite_kit: AsyncKit) -> None:
    """These exceptions commit, and go on to the caller."""

    @transactional(commit_on=KeyError)
    async def store() -> None:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
        raise KeyError

    with pytest.raises(KeyError):
        await store()
    assert sqlite_kit.names() == ["stored"]


async def test_a_returned_status_is_none_outside_of_views(sqlite_kit: AsyncKit) -> None:
    """A service's value is never read as one."""

    @transactional
    async def store() -> tuple[str, int]:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="stored"))
        return "", 500

    assert (await store(), sqlite_kit.names()) == (("", 500), ["stored"])


@pytest.mark.parametrize("decorate", [transactional, requires_transaction])
def test_an_asynchronous_generator_is_refused(decorate: object) -> None:
    """Its body runs after the call has returned."""

    async def rows() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="which is an asynchronous generator function"):
        decorate(rows)  # type: ignore[operator]


async def test_a_service(kit: AsyncKit) -> None:
    """It works inside its caller's scope, and raises without one."""

    @requires_transaction
    async def service() -> None:
        async with session_manager(propagation="mandatory") as session:
            session.add(kit.Item(name="stored"))

    with pytest.raises(errors.NoTransactionError, match=r"'test_a_service' .* called it outside"):
        await service()
    async with session_manager():
        await service()
    assert kit.names() == ["stored"]


async def test_synchronous_functions_join_where_they_can_wait(kit: AsyncKit) -> None:
    """Services of both kinds run by ``run_sync()``."""

    @transactional
    def store(name: str) -> None:
        with session_manager() as session:
            session.add(kit.Item(name=name))
            session.flush()

    @requires_transaction
    def count(session: Session) -> int:
        return len(session.scalars(select(kit.Item)).all())

    async with session_manager() as session:
        await session.run_sync(lambda _: store("a"))
        assert await session.run_sync(count) == 1
        with pytest.raises(
            errors.TransactionActiveError, match="opened a synchronous scope inside"
        ):
            store("b")
    assert kit.names() == ["a"]
