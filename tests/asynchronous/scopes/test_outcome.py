"""How a scope ends: which blocks commit, which roll back, and what a swallowed failure leads to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Insert, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from flask_safesession import current_scope, on_commit, on_rollback, session_manager, transactional
from flask_safesession.errors import (
    NoTransactionError,
    SelfDeadlockError,
    TransactionActiveError,
    TransactionOwnershipError,
    UnexpectedRollbackError,
)

from ...test_outcome import OR_ROLLBACK
from .conftest import MakeKit
from .kit import AsyncKit, driver_connection


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


BOTH_DRIVERS = ("asyncpg", "psycopg")


async def test_a_generator_that_is_dropped_rolls_back(sqlite_kit: AsyncKit) -> None:
    """Closing it raises ``GeneratorExit`` inside the block."""

    async def work() -> AsyncGenerator[None, None]:
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="lost"))
            yield

    generator = work()
    await anext(generator)
    await generator.aclose()
    assert sqlite_kit.names() == []


async def test_scopes_that_are_left_out_of_order_roll_back(sqlite_kit: AsyncKit) -> None:
    """The error names both, and nothing is half-done."""
    outer, inner = (session_manager(name="outer"), session_manager(name="inner"))
    (await outer.__aenter__()).add(sqlite_kit.Item(name="lost"))
    await inner.__aenter__()
    with pytest.raises(TransactionActiveError, match=r"'outer'.* out of order.*'inner'"):
        await outer.__aexit__(None, None, None)
    with pytest.raises(TransactionActiveError, match="out of order"):
        await inner.__aexit__(None, None, None)
    assert (sqlite_kit.names(), sqlite_kit.checkedout()) == ([], 0)


async def test_a_swallowed_failure_of_a_joined_scope_is_unexpected(kit: AsyncKit) -> None:
    """The owner gets the cause, and the file and line of the scope that failed."""
    error = ValueError("of the inner scope")
    with pytest.raises(UnexpectedRollbackError) as caught:
        async with session_manager(name="outer") as session:
            session.add(kit.Item(name="lost"))
            with pytest.raises(ValueError, match="of the inner"):
                await _fail_inside(error=error)
    line = _fail_inside.__code__.co_firstlineno + 1
    assert caught.value.__cause__ is error
    assert f"test_outcome.py:{line}) failed inside the transaction of 'outer'" in str(caught.value)
    assert "ValueError: of the inner scope" in str(caught.value)
    assert (kit.names(), kit.checkedout()) == ([], 0)


@pytest.mark.parametrize(
    "statement",
    [
        lambda kit, session: session.execute(select(kit.Item)),
        lambda kit, session: session.scalars(select(kit.Item)),
        lambda kit, session: session.get(kit.Item, 1),
        lambda kit, session: session.connection(),
        lambda kit, session: session.flush(),
    ],
    ids=["execute", "scalars", "get", "connection", "flush"],
)
async def test_statements_after_a_swallowed_failure_are_refused(
    sqlite_kit: AsyncKit, statement: Callable[[AsyncKit, AsyncSession], Any]
) -> None:
    """Work that cannot be stored is not done, and the error says since when."""
    with pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            with pytest.raises(ValueError, match="of the inner"):
                await _fail_inside("spoiler")
            session.add(sqlite_kit.Item(name="late"))
            with pytest.raises(UnexpectedRollbackError, match=r"'spoiler'.*no more statements"):
                await statement(sqlite_kit, session)
    assert sqlite_kit.names() == []


async def _on_connection(session: AsyncSession, call: str, sql: Any) -> None:
    await getattr(await session.connection(), call)(sql)


Send = Callable[[AsyncKit, AsyncSession], Awaitable[Any]]

SENDERS: dict[str, Send] = {
    "session.execute": lambda kit, session: session.execute(_insert(kit)),
    "text": lambda kit, session: session.execute(text("SELECT 1 / 0")),
    "orm insert": lambda kit, session: session.execute(insert(kit.Item), [{"name": "first"}]),
    "connection": lambda kit, session: _on_connection(session, "execute", _insert(kit)),
    "driver sql": lambda kit, session: _on_connection(session, "exec_driver_sql", "SELECT nothing"),
}

each_sender = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)


def _insert(kit: AsyncKit) -> Insert:
    return insert(kit.Item).values(name="first")


async def _swallow(send: Send, kit: AsyncKit, session: AsyncSession) -> None:
    try:
        await send(kit, session)
    except Exception:  # noqa: BLE001 - each sender has its own
        return
    raise AssertionError("the statement did not fail")


@pytest.fixture(params=["asyncpg", "psycopg"])
def postgresql_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """A kit on PostgreSQL, by each driver."""
    return make_kit(request.param)


async def test_a_swallowed_statement_rolls_back_after_another_scope_has_committed(
    postgresql_kit: AsyncKit,
) -> None:
    """The outcome is that of this transaction: a hook for its commit does not run, one for its rollback does."""
    ran: list[str] = []
    with postgresql_kit.app.app_context():
        async with session_manager() as session:
            session.add(postgresql_kit.Item(name="a"))
        with pytest.raises(UnexpectedRollbackError):
            async with session_manager() as session:
                scope = current_scope()
                on_commit(ran.append, "committed")
                on_rollback(ran.append, "rolled back")
                with pytest.raises(SQLAlchemyError):
                    await session.execute(text("SELECT * FROM missing"))
    assert (scope and scope.outcome, ran) == ("rolled_back", ["rolled back"])


async def test_the_error_names_the_line_of_the_swallowed_statement(
    postgresql_kit: AsyncKit,
) -> None:
    """And the database's own words, with the exception as the cause."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="'_on_connection'") as caught:
            async with session_manager() as session:
                await _swallow(SENDERS["driver sql"], kit, session)
    line = _on_connection.__code__.co_firstlineno + 1
    told = str(caught.value)  # SQLAlchemy 2.0 puts asyncpg's class before its words
    assert f"test_outcome.py:{line}) was swallowed: " in told
    assert "column" in told
    assert isinstance(caught.value.__cause__, SQLAlchemyError)


@each_sender
async def test_a_swallowed_statement_inside_an_open_savepoint_is_found(
    postgresql_kit: AsyncKit, send: Callable[[AsyncKit, AsyncSession], Any]
) -> None:
    """Nobody rolled the savepoint back, so the transaction is still aborted."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            await session.begin_nested()
            await _swallow(send, kit, session)
    assert kit.names() == []


@each_sender
async def test_a_swallowed_statement_inside_a_savepoint_that_was_rolled_back_commits(
    postgresql_kit: AsyncKit, send: Callable[[AsyncKit, AsyncSession], Any]
) -> None:
    """That is what savepoints are for."""
    kit = postgresql_kit
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            savepoint = await session.begin_nested()
            await _swallow(send, kit, session)
            await savepoint.rollback()
            session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


@each_sender
async def test_a_nested_scope_that_swallowed_a_statement_is_rolled_back(
    postgresql_kit: AsyncKit, send: Callable[[AsyncKit, AsyncSession], Any]
) -> None:
    """Its savepoint cannot be released; the outer scope stays usable."""
    kit = postgresql_kit
    with kit.app.app_context():
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            with pytest.raises(UnexpectedRollbackError):
                async with session_manager(propagation="nested"):
                    session.add(kit.Item(name="lost"))
                    await session.flush()
                    await _swallow(send, kit, session)
            session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


@each_sender
async def test_a_commit_by_hand_after_a_swallowed_statement_raises(
    postgresql_kit: AsyncKit, send: Callable[[AsyncKit, AsyncSession], Any]
) -> None:
    """Outside any scope too, and the session is usable after its rollback."""
    kit = postgresql_kit
    with kit.app.app_context():
        async with session_manager(propagation="supports") as session:
            session.add(kit.Item(name="first"))
            await session.flush()
            await _swallow(send, kit, session)
            with pytest.raises(UnexpectedRollbackError, match="COMMIT was not sent"):
                await session.commit()
            await session.rollback()
            session.add(kit.Item(name="second"))
            await session.commit()
    assert kit.names() == ["second"]


async def test_a_statement_past_sqlalchemy_is_found(make_kit: MakeKit) -> None:
    """Only the server and psycopg know that it failed; asyncpg tells nobody."""
    kit = make_kit("psycopg")
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            await session.flush()
            with pytest.raises(Exception, match="duplicate key"):
                await (await driver_connection(session)).execute(
                    "INSERT INTO item (name) VALUES ('first')"
                )
    assert kit.names() == []


async def test_stock_commits_nothing_in_silence(make_kit: MakeKit) -> None:
    """What the tests above guard against: without the extension ``commit()`` returns normally."""
    kit = make_kit("asyncpg")
    async with AsyncSession(create_async_engine(kit.engine.url, poolclass=NullPool)) as session:
        session.add(kit.Item(name="first"))
        await session.flush()
        await _swallow(SENDERS["text"], kit, session)
        await session.commit()
    assert kit.names() == []


@pytest.fixture(params=["asyncmy", "aiomysql"])
def mariadb_kit(request: pytest.FixtureRequest, make_kit: MakeKit) -> AsyncKit:
    """A kit on MariaDB with the rows ``a`` and ``b``."""
    kit = make_kit(request.param)
    assert kit.database.observer is not None
    with kit.database.observer.connect() as connection:
        connection.execute(insert(kit.Item.__table__), [{"name": "a"}, {"name": "b"}])
    return kit


async def _lock(connection: AsyncConnection | AsyncSession, name: str) -> None:
    await connection.execute(
        text("UPDATE item SET amount = amount + 1 WHERE name = :name"), {"name": name}
    )


async def _deadlock(kit: AsyncKit, session: AsyncSession) -> None:
    """Let the database choose *session* as the victim of a deadlock: the other one has done more."""
    async with kit.engine.connect() as other:
        for _ in range(20):
            await _lock(other, "b")
        await _lock(session, "a")
        waiting = asyncio.create_task(_lock(other, "a"))
        await _await_lock(kit)
        with pytest.raises(OperationalError, match="1213"):
            await _lock(session, "b")
        await waiting
        await other.rollback()


async def _await_lock(kit: AsyncKit) -> None:
    """Return when the other connection waits for its lock."""
    assert kit.database.observer is not None
    # The table innodb_trx would be served from a cache that is not renewed while it is asked often.
    waits = (
        "SELECT CAST(variable_value AS INT) FROM information_schema.global_status "
        "WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
    )
    with kit.database.observer.connect() as connection:
        while not connection.scalar(text(waits)):  # noqa: ASYNC110 - the server tells by no event
            await asyncio.sleep(0)


@pytest.mark.mariadb
async def test_a_swallowed_deadlock_is_found_before_commit(mariadb_kit: AsyncKit) -> None:
    """MariaDB has rolled the whole transaction back, and would store only what came later."""
    with mariadb_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            async with session_manager() as session:
                session.add(mariadb_kit.Item(name="early"))
                await session.flush()
                await _deadlock(mariadb_kit, session)
                session.add(mariadb_kit.Item(name="late"))
    assert mariadb_kit.names() == ["a", "b"]


@pytest.mark.mariadb
async def test_a_swallowed_deadlock_inside_a_savepoint_is_found_too(mariadb_kit: AsyncKit) -> None:
    """The savepoint is gone with the transaction, and the first error counts, not that of its rollback."""
    with mariadb_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError) as caught:
            async with session_manager() as session:
                session.add(mariadb_kit.Item(name="early"))
                await session.flush()
                with pytest.raises(OperationalError, match="1305"):
                    async with session.begin_nested():
                        await _deadlock(mariadb_kit, session)
                        raise KeyError
    assert "1213" in f"{caught.value} {caught.value.__cause__}"
    assert mariadb_kit.names() == ["a", "b"]


@pytest.mark.mariadb
async def test_a_swallowed_deadlock_is_found_by_a_commit_by_hand(mariadb_kit: AsyncKit) -> None:
    """Outside any scope too."""
    with mariadb_kit.app.app_context():
        async with session_manager(propagation="supports") as session:
            session.add(mariadb_kit.Item(name="early"))
            await session.flush()
            await _deadlock(mariadb_kit, session)
            session.add(mariadb_kit.Item(name="late"))
            with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
                await session.commit()
            await session.rollback()
    assert mariadb_kit.names() == ["a", "b"]


async def test_a_swallowed_or_rollback_is_found_before_commit(sqlite_kit: AsyncKit) -> None:
    """SQLite has rolled the whole transaction back, and would store only what came later."""
    with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
        async with session_manager() as session:
            session.add(sqlite_kit.Item(name="first"))
            await session.flush()
            with pytest.raises(IntegrityError):
                await session.execute(OR_ROLLBACK)
            session.add(sqlite_kit.Item(name="late"))
    assert sqlite_kit.names() == []


async def test_a_swallowed_or_rollback_is_found_by_a_commit_by_hand(sqlite_kit: AsyncKit) -> None:
    """Outside any scope too."""
    async with session_manager(propagation="supports") as session:
        session.add(sqlite_kit.Item(name="first"))
        await session.flush()
        with pytest.raises(IntegrityError):
            await session.execute(OR_ROLLBACK)
        session.add(sqlite_kit.Item(name="late"))
        with pytest.raises(UnexpectedRollbackError, match="has rolled this transaction back"):
            await session.commit()
        await session.rollback()
    assert sqlite_kit.names() == []


async def test_an_or_rollback_as_the_only_write_is_found_too(sqlite_kit: AsyncKit) -> None:
    """The statement that failed was the first that wrote."""
    async with session_manager() as session:
        session.add(sqlite_kit.Item(name="first"))
    with pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            with pytest.raises(IntegrityError):
                await session.execute(OR_ROLLBACK)
            session.add(sqlite_kit.Item(name="late"))
    assert sqlite_kit.names() == ["first"]


async def _terminate(session: AsyncSession) -> None:
    with pytest.raises(DBAPIError):
        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_a_lost_connection_does_not_hide_the_exception(postgresql_kit: AsyncKit) -> None:
    """The exception leaves as it was, and no broken connection is in the pool."""
    error = ValueError("mine")
    with postgresql_kit.app.app_context():
        with pytest.raises(ValueError, match="mine") as caught:
            async with session_manager() as session:
                await _terminate(session)
                raise error
        assert caught.value is error
        async with session_manager() as session:
            session.add(postgresql_kit.Item(name="next"))
    assert postgresql_kit.names() == ["next"]


async def _break(connection: AsyncConnection) -> None:
    """Let the server end the connection behind SQLAlchemy's back."""
    process = await connection.scalar(text("SELECT pg_backend_pid()"))
    async with connection.engine.connect() as other:
        await other.execute(text(f"SELECT pg_terminate_backend({process}, 5000)"))


async def test_a_rollback_that_fails_is_a_note_of_the_exception(postgresql_kit: AsyncKit) -> None:
    """And the connection is thrown away, not pooled."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(ValueError, match="mine") as caught:
            async with session_manager() as session:
                session.add(kit.Item(name="lost"))
                await session.flush()
                broken = await driver_connection(session)
                await _break(await session.connection())
                raise ValueError("mine")
        (note,) = vars(caught.value)["__notes__"]
        assert note.startswith("The rollback of 'test_a_rollback_that_fails")
        assert "closed" in note or "terminat" in note
        async with session_manager() as session:
            assert await driver_connection(session) is not broken
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_a_rollback_that_fails_is_raised_where_the_block_ended_well(
    postgresql_kit: AsyncKit,
) -> None:
    """A quiet rollback that did not work is not quiet."""
    kit = postgresql_kit
    with kit.app.app_context():
        with pytest.raises(DBAPIError):
            async with session_manager() as session:
                await _break(await session.connection())
                _rollback_only()
        assert kit.checkedout() == 0


async def test_a_savepoint_whose_rollback_fails_poisons_the_outer_scope(
    postgresql_kit: AsyncKit,
) -> None:
    """Its failure could not be undone, so the transaction cannot be stored."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(UnexpectedRollbackError):
        async with session_manager() as session:
            session.add(kit.Item(name="lost"))
            with pytest.raises(ValueError, match="mine") as caught:
                async with session_manager(propagation="nested"):
                    await _break(await session.connection())
                    raise ValueError("mine")
            assert "The rollback to the savepoint" in vars(caught.value)["__notes__"][0]
    assert (kit.names(), kit.checkedout()) == ([], 0)


async def test_a_quiet_savepoint_whose_rollback_fails_is_loud(postgresql_kit: AsyncKit) -> None:
    """The error leaves the nested scope."""
    kit = postgresql_kit
    with kit.app.app_context(), pytest.raises(DBAPIError):
        async with session_manager() as session, session_manager(propagation="nested"):
            await _break(await session.connection())
            _rollback_only()
    assert kit.checkedout() == 0


async def test_a_savepoint_that_its_scope_does_not_own_any_more_is_found(
    sqlite_kit: AsyncKit,
) -> None:
    """Somebody rolled the scope's savepoint back by its session."""
    async with session_manager() as session:
        session.add(sqlite_kit.Item(name="kept"))
        with pytest.raises(TransactionOwnershipError, match="ended by somebody else"):
            async with session_manager(propagation="nested"):
                savepoint = session.get_nested_transaction()
                assert savepoint is not None
                await savepoint.rollback()
    assert sqlite_kit.names() == ["kept"]
