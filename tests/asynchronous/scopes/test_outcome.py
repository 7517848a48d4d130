"""How a scope ends: which blocks commit, which roll back, and what a swallowed failure leads to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import current_scope, on_commit, on_rollback, session_manager, transactional
from flask_safesession.errors import (
    NoTransactionError,
    SelfDeadlockError,
    UnexpectedRollbackError,
)

from .conftest import MakeKit
from .kit import AsyncKit


def _rollback_only() -> None:
    scope = current_scope()
    assert scope is not None
    scope.set_rollback_only()


async def test_a_block_that_ends_commits(kit: AsyncKit) -> None:
    """The rows are stored, and the connection is back in the pool."""
    async with session_manager() as session:
        session.add(kit.Item(name="stored"))
    assert (kit.names(), kit.checkedout()) == (["stored"], 0)


async def test_a_return_from_the_block_commits(kit: AsyncKit) -> None:
    """It leaves the block like its end."""

    async def work() -> str:
        async with session_manager() as session:
            session.add(kit.Item(name="stored"))
            return "returned"

    assert await work() == "returned"
    assert kit.names() == ["stored"]


@pytest.mark.parametrize("keyword", ["break", "continue"])
async def test_leaving_a_loop_commits(kit: AsyncKit, keyword: str) -> None:
    """``break`` and ``continue`` too."""
    for _ in range(1):
        async with session_manager() as session:
            session.add(kit.Item(name="stored"))
            if keyword == "break":
                break
            continue
    assert kit.names() == ["stored"]


@pytest.mark.parametrize(
    "error", [ValueError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr
)
async def test_an_exception_rolls_back_and_is_the_same_object(
    kit: AsyncKit, error: BaseException
) -> None:
    """Whatever its class; and the connection is back."""
    with pytest.raises(type(error)) as caught:
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            await session.flush()
            raise error
    assert caught.value is error
    assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()], ids=repr)
async def test_an_exception_of_a_joined_scope_is_the_same_object(
    kit: AsyncKit, error: BaseException
) -> None:
    """Let out through both scopes, it is no unexpected rollback."""
    with pytest.raises(type(error)) as caught:
        async with session_manager() as session, session_manager():
            session.add(kit.Item(name="lost"))
            raise error
    assert caught.value is error
    assert kit.names() == []


async def test_an_exception_has_no_notes_when_the_rollback_worked(sqlite_kit: AsyncKit) -> None:
    """It is as the program raised it."""
    with pytest.raises(ValueError, match="mine") as caught:
        async with session_manager():
            raise ValueError("mine")
    assert not hasattr(caught.value, "__notes__")
    assert caught.value.__cause__ is None


async def test_rollback_only_of_the_owner_is_quiet(kit: AsyncKit) -> None:
    """Its own block wanted it; statements went on working until the end."""
    async with session_manager() as session:
        session.add(kit.Item(name="lost"))
        _rollback_only()
        assert (await session.scalars(select(kit.Item.name))).all() == ["lost"]
        scope = current_scope()
        assert scope is not None
    assert scope.outcome == "rolled_back"
    assert kit.names() == []


async def test_rollback_only_of_a_joined_scope_is_not_quiet(kit: AsyncKit) -> None:
    """The owner wanted to commit, and learns who asked for what."""
    with pytest.raises(
        UnexpectedRollbackError, match=r"'inner' \(.*:\d+\) called 'set_rollback_only\(\)'"
    ):
        async with session_manager(name="outer") as session:
            session.add(kit.Item(name="lost"))
            async with session_manager(name="inner"):
                _rollback_only()
            assert (await session.scalars(select(kit.Item.name))).all() == ["lost"]
    assert kit.names() == []


async def test_rollback_only_of_a_savepoint_is_quiet_and_its_own(kit: AsyncKit) -> None:
    """The outer scope commits the rest."""
    async with session_manager() as session:
        session.add(kit.Item(name="kept"))
        async with session_manager(propagation="nested"):
            session.add(kit.Item(name="lost"))
            _rollback_only()
    assert kit.names() == ["kept"]


async def test_rollback_only_after_a_joined_scope_asked_for_it_stays_loud(
    sqlite_kit: AsyncKit,
) -> None:
    """The owner's own wish comes too late to make it quiet."""
    with pytest.raises(UnexpectedRollbackError):
        async with session_manager():
            async with session_manager():
                _rollback_only()
            _rollback_only()


async def test_rollback_only_after_the_end_is_an_error(sqlite_kit: AsyncKit) -> None:
    """There is nothing left to roll back."""
    async with session_manager(name="over"):
        scope = current_scope()
    assert scope is not None
    with pytest.raises(NoTransactionError, match=r"'over'.* has ended \(committed\)"):
        scope.set_rollback_only()
    assert scope.outcome == "committed"


async def _fail_inside(name: str = "inner", error: BaseException | None = None) -> None:
    async with session_manager(name=name):
        raise error or ValueError("of the inner scope")


async def test_the_first_swallowed_failure_is_the_cause(sqlite_kit: AsyncKit) -> None:
    """What follows from it is not."""
    with pytest.raises(UnexpectedRollbackError, match="'first'") as caught:
        async with session_manager():
            for name in ("first", "second"):
                with pytest.raises(ValueError, match=name):
                    await _fail_inside(name, ValueError(name))
    assert str(caught.value.__cause__) == "first"


async def test_another_exception_after_a_swallowed_failure_is_raised_itself(
    sqlite_kit: AsyncKit,
) -> None:
    """The owner does not want to commit any more, so nothing is unexpected."""
    with pytest.raises(LookupError, match="the owner's"):
        async with session_manager():
            with pytest.raises(ValueError, match="of the inner"):
                await _fail_inside()
            raise LookupError("the owner's")


async def test_a_swallowed_failure_of_a_service_deep_inside_reaches_the_owner(
    kit: AsyncKit,
) -> None:
    """Through scopes that joined and ended well."""

    @transactional
    async def service() -> None:
        raise ValueError("deep")

    with pytest.raises(UnexpectedRollbackError, match="'service'"):
        async with session_manager(), session_manager():
            async with session_manager():
                with pytest.raises(ValueError, match="deep"):
                    await service()


async def test_a_failure_inside_a_savepoint_poisons_only_the_savepoint(kit: AsyncKit) -> None:
    """The nested scope gets the error, the outer one commits."""
    async with session_manager() as session:
        session.add(kit.Item(name="kept"))
        with pytest.raises(UnexpectedRollbackError, match="'nested'"):
            async with session_manager(propagation="nested", name="nested"):
                session.add(kit.Item(name="lost"))
                with pytest.raises(ValueError, match="of the inner"):
                    await _fail_inside()
                with pytest.raises(UnexpectedRollbackError, match="no more statements"):
                    await session.flush()
        session.add(kit.Item(name="later"))
    assert kit.names() == ["kept", "later"]


async def test_a_savepoint_inside_a_savepoint_is_poisoned_alone(kit: AsyncKit) -> None:
    """The same one level deeper."""
    async with session_manager() as session:
        async with session_manager(propagation="nested"):
            session.add(kit.Item(name="kept"))
            with pytest.raises(KeyError):
                async with session_manager(propagation="nested"):
                    session.add(kit.Item(name="lost"))
                    raise KeyError
            session.add(kit.Item(name="later"))
    assert kit.names() == ["kept", "later"]


async def test_a_flush_that_fails_and_is_swallowed_is_found(kit: AsyncKit) -> None:
    """SQLAlchemy has rolled back by then; the owner learns of it instead of storing a rest."""
    with pytest.raises(UnexpectedRollbackError) as caught:
        async with session_manager() as session:
            session.add_all([kit.Item(name="twice"), kit.Item(name="twice")])
            with pytest.raises(IntegrityError):
                await session.flush()
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert "test_a_flush_that_fails_and_is_swallowed_is_found" in str(caught.value)
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_the_outcome_is_known_from_every_scope(kit: AsyncKit) -> None:
    """None while the transaction is open, then how it ended."""
    async with session_manager():
        outer = current_scope()
        async with session_manager():
            joined = current_scope()
        with pytest.raises(KeyError):
            async with session_manager(propagation="nested"):
                nested = current_scope()
                raise KeyError
        assert outer is not None
        assert joined is not None
        assert nested is not None
        assert (outer.outcome, joined.outcome, nested.outcome) == (None, None, "rolled_back")
    assert (outer.outcome, joined.outcome, nested.outcome) == (
        "committed",
        "committed",
        "rolled_back",
    )


async def test_a_savepoint_that_is_left_open_inside_is_released(kit: AsyncKit) -> None:
    """By the COMMIT of the scope, as by the database itself."""
    async with session_manager() as session:
        session.begin_nested()
        session.add(kit.Item(name="kept"))
    assert kit.names() == ["kept"]


async def test_hooks_see_the_outcome(sqlite_kit: AsyncKit) -> None:
    """They run after it."""
    outcomes: list[str | None] = []
    for register in (on_commit, on_rollback):
        async with session_manager():
            scope = current_scope()
            assert scope is not None
            register(lambda each: outcomes.append(each.outcome), scope)
            if register is on_rollback:
                scope.set_rollback_only()
    assert outcomes == ["committed", "rolled_back"]


async def test_a_savepoint_before_anything_else(kit: AsyncKit) -> None:
    """It is part of the outer transaction, also on SQLite, where RELEASE would commit without a BEGIN."""
    with pytest.raises(KeyError):
        async with session_manager():
            async with session_manager(propagation="nested") as session:
                session.add(kit.Item(name="lost"))
            raise KeyError
    assert kit.names() == []


async def test_a_write_on_sqlite_in_a_new_transaction(sqlite_kit: AsyncKit) -> None:
    """SQLite has one writer: the scope that would wait for its own caller is refused."""
    async with session_manager() as session:
        session.add(sqlite_kit.Item(name="outer"))
        await session.flush()
        with pytest.raises(SelfDeadlockError):
            async with session_manager(propagation="requires_new") as inner:
                inner.add(sqlite_kit.Item(name="inner"))
    assert sqlite_kit.names() == ["outer"]


async def _duplicate(kit: AsyncKit, session: AsyncSession) -> None:
    await session.execute(insert(kit.Item).values(name="first"))


async def _driver_sql(kit: AsyncKit, session: AsyncSession) -> None:
    await (await session.connection()).exec_driver_sql("SELECT nothing")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
@pytest.mark.parametrize("send", [_duplicate, _driver_sql])
@pytest.mark.parametrize("how", ["plain", "joined", "nested"])
async def test_a_swallowed_statement_is_found_before_commit(
    make_kit: MakeKit, driver: str, send: Callable[..., Awaitable[None]], how: str
) -> None:
    """PostgreSQL would answer COMMIT with ROLLBACK, and stock SQLAlchemy says nothing."""
    kit = make_kit(driver)

    async def swallow(session: AsyncSession) -> None:
        with suppress(SQLAlchemyError):
            await send(kit, session)

    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError) as caught:
            async with session_manager() as session:
                session.add(kit.Item(name="first"))
                await session.flush()
                if how == "plain":
                    await swallow(session)
                elif how == "joined":
                    async with session_manager() as joined:
                        await swallow(joined)
                else:
                    async with session_manager(propagation="nested") as nested:
                        await swallow(nested)
        assert "would answer with ROLLBACK" in str(caught.value)
        assert f"The exception of '{send.__name__}' (tests/asynchronous" in str(caught.value)
        assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_statement_swallowed_inside_a_savepoint_that_rolls_back(
    make_kit: MakeKit, driver: str
) -> None:
    """The outer transaction is usable, and commits."""
    kit = make_kit(driver)
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            await session.flush()
            with suppress(SQLAlchemyError):
                async with session.begin_nested():
                    await _duplicate(kit, session)
            session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


async def test_a_swallowed_statement_commits_where_the_database_goes_on(kit: AsyncKit) -> None:
    """SQLite and MariaDB undo the statement alone."""
    if kit.database.dialect == "postgresql":
        return
    async with session_manager() as session:
        await session.execute(insert(kit.Item).values(name="first"))
        with suppress(SQLAlchemyError):
            await _duplicate(kit, session)
        session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]
