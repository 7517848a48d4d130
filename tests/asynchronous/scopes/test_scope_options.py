"""What a scope may ask for in coroutines: read-only transactions, isolation levels, time limits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import Propagation, classify, current_scope, errors, session_manager

from ...test_scope_options import (
    FOUND,
    LEVELS,
    ONE,
    READ_TIMEOUT,
    SECONDS,
    notes_of,
)
from .conftest import MakeKit
from .kit import AsyncKit, close_underneath


async def in_force(kit: AsyncKit, session: AsyncSession) -> str:
    """The timeout, as the database itself tells it."""
    return str(await session.scalar(text(READ_TIMEOUT[kit.database.dialect])))


def seconds(kit: AsyncKit, value: float) -> str:
    """*value*, as the database would tell it."""
    return SECONDS[kit.database.dialect](value)


def found(kit: AsyncKit) -> str:
    """What the database tells where nobody has asked for a timeout."""
    return FOUND[kit.database.dialect]


async def timeout_of_the_next_transaction(kit: AsyncKit) -> str:
    """What the pooled connection has kept."""
    with kit.app.app_context():
        async with session_manager() as session:
            return await in_force(kit, session)


async def write(kit: AsyncKit, name: str) -> None:
    """Store a row past the scopes under test."""
    with kit.app.app_context():
        async with session_manager(propagation="requires_new") as session:
            session.add(kit.Item(name=name))


def observe(kit: AsyncKit, statement: str) -> None:
    """Execute *statement* on another connection, which commits at once."""
    assert kit.database.observer is not None
    with kit.database.observer.connect() as connection:
        connection.exec_driver_sql(statement)


async def flush_a_row(kit: AsyncKit, session: AsyncSession) -> None:
    session.add(kit.Item(name="no"))
    await session.flush()


async def insert_a_row(kit: AsyncKit, session: AsyncSession) -> None:
    await session.execute(insert(kit.Item).values(name="no"))


async def insert_by_text(kit: AsyncKit, session: AsyncSession) -> None:
    await session.execute(text("INSERT INTO item (name) VALUES ('no')"))


async def insert_on_the_connection(kit: AsyncKit, session: AsyncSession) -> None:
    await (await session.connection()).exec_driver_sql("INSERT INTO item (name) VALUES ('no')")


async def flush_at_commit(kit: AsyncKit, session: AsyncSession) -> None:
    session.add(kit.Item(name="no"))


WRITES: Final = (
    flush_a_row,
    insert_a_row,
    insert_by_text,
    insert_on_the_connection,
    flush_at_commit,
)


@pytest.mark.parametrize("send", WRITES)
async def test_the_database_refuses_writes(
    kit: AsyncKit, send: Callable[[AsyncKit, AsyncSession], Awaitable[None]]
) -> None:
    """A stock session has no read-only mode; the message names the scope that asked for it."""
    wanted = r"inside the read-only transaction that 'report' owns \(.*test_scope_options\.py:\d+\)"
    with pytest.raises(errors.ReadOnlyError, match=wanted):
        async with session_manager(read_only=True, name="report") as session:
            await send(kit, session)
    assert kit.names() == []


@pytest.mark.parametrize("caught", [errors.ReadOnlyError, DBAPIError, SQLAlchemyError])
async def test_both_names_of_the_error_catch_it(kit: AsyncKit, caught: type[Exception]) -> None:
    """Code that catches SQLAlchemy's own class goes on working, and finds the driver's error."""
    with pytest.raises(caught) as error:
        async with session_manager(read_only=True) as session:
            await flush_a_row(kit, session)
    assert isinstance(error.value, errors.ReadOnlyError)
    assert isinstance(error.value, DBAPIError)
    assert error.value.orig is not None
    assert classify(error.value).category == "read_only"


async def test_a_read_only_scope_reads(kit: AsyncKit) -> None:
    """Reading is what it is for."""
    await write(kit, "there")
    async with session_manager(read_only=True) as session:
        assert (await session.scalars(select(kit.Item.name))).all() == ["there"]


@pytest.mark.parametrize("fails", [False, True], ids=["commit", "rollback"])
async def test_the_connection_writes_again_after_a_read_only_scope(
    one: AsyncKit, fails: bool
) -> None:
    """The mode ends with the scope, whatever its end is; the pool has one connection only."""
    with one.app.app_context():
        try:
            async with session_manager(read_only=True) as session:
                await session.execute(select(1))
                if fails:
                    await insert_a_row(one, session)
        except errors.ReadOnlyError:
            assert fails
        async with session_manager() as session:
            session.add(one.Item(name="after"))
    assert one.names() == ["after"]


async def test_joined_and_nested_scopes_are_read_only_as_well(kit: AsyncKit) -> None:
    """The message names the owner, who asked for it, and not the scope that wrote."""
    with pytest.raises(errors.ReadOnlyError, match="that 'report' owns"):
        async with session_manager(read_only=True, name="report"), session_manager() as session:
            async with session_manager(propagation="nested"):
                await insert_a_row(kit, session)


async def test_a_read_only_scope_may_be_joined_by_a_reader(kit: AsyncKit) -> None:
    """What is asked for is there already; and whoever joins a writer may not ask for less."""
    async with session_manager(read_only=True) as session:
        for propagation in ("required", "nested", "mandatory", "supports"):
            async with session_manager(propagation=propagation, read_only=True) as inner:
                assert inner is session


@pytest.mark.parametrize("propagation", ["required", "nested", "mandatory", "supports"])
async def test_a_reader_cannot_join_a_writer(kit: AsyncKit, propagation: str) -> None:
    """The transaction cannot change on the way: the message says where to ask instead."""
    wanted = "asked for 'read_only=True' inside the transaction that 'writer' owns .*requires_new"
    reader = session_manager(read_only=True, propagation=propagation)
    async with session_manager(name="writer"):
        with pytest.raises(errors.IsolationMismatchError, match=wanted):
            async with reader:
                pass


async def test_other_errors_keep_their_class_in_a_read_only_scope(kit: AsyncKit) -> None:
    """Only the refusal of a write becomes a ReadOnlyError."""
    with pytest.raises(DBAPIError) as caught:
        async with session_manager(read_only=True) as session:
            await session.execute(text("SELECT nonsense"))
    assert not isinstance(caught.value, errors.ReadOnlyError)


async def test_every_bind_of_a_read_only_scope_refuses(make_kit: MakeKit, driver: str) -> None:
    """A second database that joins later is read-only as well."""
    kit = make_kit(driver, binds=True)
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError):
        async with session_manager(read_only=True) as session:
            (await session.scalars(select(kit.Item))).all()
            await session.execute(insert(kit.Other).values(name="no"))
    assert kit.other_names() == []


async def test_read_only_and_a_level_together(kit: AsyncKit) -> None:
    """Both are asked for in one statement, and both hold."""
    with pytest.raises(errors.ReadOnlyError):
        async with session_manager(read_only=True, isolation_level="SERIALIZABLE") as session:
            assert await session.scalar(select(1)) == 1
            await insert_a_row(kit, session)


@pytest.mark.postgresql
@pytest.mark.parametrize("level", LEVELS)
async def test_the_level_that_postgresql_tells(make_kit: MakeKit, level: str) -> None:
    """PostgreSQL knows which level is in force, and afterwards its default is back."""
    kit = make_kit("asyncpg", engine_options=ONE)
    told = text("SHOW transaction_isolation")
    with kit.app.app_context():
        async with session_manager(isolation_level=level) as session:
            assert await session.scalar(told) == level.lower()
        async with session_manager() as session:
            assert await session.scalar(told) == "read committed"


@pytest.mark.parametrize("spelling", ["repeatable read", "REPEATABLE_READ", "Repeatable_Read"])
@pytest.mark.postgresql
async def test_a_level_may_be_spelled_as_in_other_programs(
    make_kit: MakeKit, spelling: str
) -> None:
    """Case and underscores do not matter, and a joining scope may spell it in its own way."""
    kit = make_kit("asyncpg")
    with kit.app.app_context():
        async with session_manager(isolation_level=spelling) as session:
            assert await session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            async with session_manager(isolation_level="REPEATABLE READ") as inner:
                assert inner is session


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("READ UNCOMMITTED", ["pending", "stored"]),
        ("READ COMMITTED", ["stored"]),
        ("REPEATABLE READ", []),
        (None, []),
    ],
)
async def test_the_level_that_mariadb_keeps(
    make_kit: MakeKit, level: str | None, expected: list[str]
) -> None:
    """It does not tell the level of a transaction: what is seen of two other transactions does."""
    kit = make_kit("asyncmy")
    with kit.app.app_context():
        async with session_manager(isolation_level=level) as session:
            assert (await session.scalars(select(kit.Item.name))).all() == []
            await write(kit, "stored")
            async with session_manager(propagation="requires_new") as other:
                other.add(kit.Item(name="pending"))
                await other.flush()
                seen = (await session.scalars(select(kit.Item.name).order_by(kit.Item.name))).all()
    assert seen == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(("level", "locked"), [("SERIALIZABLE", True), (None, False)])
async def test_serializable_reads_of_mariadb_lock(
    make_kit: MakeKit, level: str | None, locked: bool
) -> None:
    """There a plain SELECT takes a shared lock, which another transaction cannot pass."""
    kit = make_kit("asyncmy")
    await write(kit, "row")
    with kit.app.app_context():
        async with session_manager(isolation_level=level) as session:
            (await session.scalars(select(kit.Item))).all()
            try:
                observe(kit, "SELECT * FROM item FOR UPDATE NOWAIT")
                waited = False
            except OperationalError:
                waited = True
    assert waited is locked


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("READ UNCOMMITTED", ["stored"]),
        ("READ COMMITTED", ["stored"]),
        ("REPEATABLE READ", []),
        ("SERIALIZABLE", []),
        (None, ["stored"]),
    ],
)
async def test_the_level_that_sqlite_keeps(
    sqlite_kit: AsyncKit, level: str | None, expected: list[str]
) -> None:
    """Stock pysqlite begins before a write only, so two reads differ; a snapshot is asked for."""
    observe(sqlite_kit, "PRAGMA journal_mode=WAL")
    async with session_manager(isolation_level=level) as session:
        assert (await session.scalars(select(sqlite_kit.Item.name))).all() == []
        observe(sqlite_kit, "INSERT INTO item (name) VALUES ('stored')")
        assert (await session.scalars(select(sqlite_kit.Item.name))).all() == expected


async def test_read_uncommitted_is_undone_on_sqlite(make_kit: MakeKit) -> None:
    """The pragma belongs to the connection: the next transaction must not inherit it."""
    kit = make_kit(engine_options=ONE)
    told = text("PRAGMA read_uncommitted")
    with kit.app.app_context():
        async with session_manager(isolation_level="READ UNCOMMITTED") as session:
            assert await session.scalar(told) == 1
        async with session_manager() as session:
            assert await session.scalar(told) == 0


async def test_a_snapshot_of_a_driver_that_begins_by_itself(make_kit: MakeKit) -> None:
    """A program may send BEGIN at each begin event, as SQLAlchemy's recipe does: it is sent once."""
    kit = make_kit()
    event.listen(
        kit.engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN")
    )
    with kit.app.app_context():
        async with session_manager(isolation_level="SERIALIZABLE") as session:
            session.add(kit.Item(name="row"))
    assert kit.names() == ["row"]


@pytest.mark.parametrize("outer", [None, "READ COMMITTED"])
@pytest.mark.parametrize("propagation", ["required", "nested", "mandatory", "supports"])
async def test_a_joining_scope_cannot_change_the_level(
    kit: AsyncKit, outer: str | None, propagation: str
) -> None:
    """Django and Spring ignore it in silence; here the message says what is open and asked for."""
    has = outer or "the database's default"
    wanted = f"""asked for 'isolation_level="SERIALIZABLE"' .* 'outer' owns .*, which is {has}"""
    inner = session_manager(propagation=propagation, isolation_level="SERIALIZABLE")
    async with session_manager(isolation_level=outer, name="outer"):
        with pytest.raises(errors.IsolationMismatchError, match=wanted):
            async with inner:
                pass


async def test_a_new_transaction_has_its_own_level(kit: AsyncKit) -> None:
    """Only a scope that joins has to be content with what is there."""
    async with session_manager(isolation_level="READ COMMITTED") as outer:
        await outer.execute(select(1))
        async with session_manager(
            propagation="requires_new", isolation_level="SERIALIZABLE"
        ) as inner:
            assert await inner.scalar(select(1)) == 1


async def test_the_same_level_may_join(kit: AsyncKit) -> None:
    """What is asked for is there already."""
    asked: dict[str, Any] = {"isolation_level": "SERIALIZABLE"}
    async with session_manager(**asked) as session:
        async with (
            session_manager(**asked),
            session_manager(**asked, propagation="nested") as inner,
        ):
            assert inner is session


@contextmanager
def a_writer(kit: AsyncKit) -> Iterator[None]:
    """Somebody holds the write lock of a SQLite file."""
    path = str(kit.engine.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.postgresql
async def test_postgresql_cancels_a_statement(make_kit: MakeKit) -> None:
    """Stock sessions wait for as long as the server likes."""
    kit = make_kit("asyncpg")
    begun = time.monotonic()
    with kit.app.app_context(), pytest.raises(DBAPIError, match="statement timeout"):
        async with session_manager(timeout=0.1) as session:
            await session.execute(text("SELECT pg_sleep(30)"))
    assert time.monotonic() - begun < 5


@pytest.mark.mariadb
async def test_mariadb_cancels_a_statement(make_kit: MakeKit) -> None:
    """Stock sessions wait for as long as the server likes."""
    kit = make_kit("asyncmy")
    begun = time.monotonic()
    with kit.app.app_context(), pytest.raises(DBAPIError, match="max_statement_time") as caught:
        async with session_manager(timeout=0.1) as session:
            await session.execute(text("SELECT SLEEP(30)"))
    assert time.monotonic() - begun < 5
    assert classify(caught.value).category == "statement_timeout"


async def test_sqlite_stops_waiting_for_a_lock(make_kit: MakeKit) -> None:
    """The engine would wait a minute for the other writer."""
    kit = make_kit(engine_options={"connect_args": {"timeout": 60}})
    begun = time.monotonic()
    with a_writer(kit), kit.app.app_context():
        with pytest.raises(OperationalError, match="locked"):
            async with session_manager(timeout=0.05) as session:
                await insert_a_row(kit, session)
    assert time.monotonic() - begun < 5


async def test_the_timeout_is_in_force_and_reset_after_a_commit(one: AsyncKit) -> None:
    """The same connection is used again, and has the limit that it had before."""
    with one.app.app_context():
        async with session_manager(timeout=2) as session:
            assert await in_force(one, session) == seconds(one, 2)
    assert await timeout_of_the_next_transaction(one) == found(one)


async def test_the_timeout_is_reset_after_a_rollback(one: AsyncKit) -> None:
    """A failed statement leaves nothing behind either."""
    with one.app.app_context(), pytest.raises(SQLAlchemyError):
        async with session_manager(timeout=2) as session:
            await session.execute(text("SELECT nonsense"))
    assert await timeout_of_the_next_transaction(one) == found(one)


async def test_the_timeout_is_reset_after_a_failed_flush(one: AsyncKit) -> None:
    """SQLAlchemy has rolled back by itself before the scope ends."""
    with one.app.app_context(), pytest.raises(IntegrityError):
        async with session_manager(timeout=2) as session:
            session.add_all([one.Item(name="same"), one.Item(name="same")])
    assert await timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.parametrize("propagation", ["required", "nested"])
@pytest.mark.parametrize("outer", [None, 5])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
async def test_an_inner_timeout_ends_with_the_inner_scope(
    one: AsyncKit, propagation: str, outer: float | None, used: bool
) -> None:
    """Inside it is in force; after it the outer one is, or what was there before."""
    before = found(one) if outer is None else seconds(one, outer)
    with one.app.app_context():
        async with session_manager(timeout=outer) as session:
            if used:
                assert await in_force(one, session) == before
            async with session_manager(timeout=2, propagation=propagation):
                assert await in_force(one, session) == seconds(one, 2)
            assert await in_force(one, session) == before
    assert await timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.parametrize("outer", [None, 5])
async def test_an_inner_timeout_ends_with_a_savepoint_that_fails(
    one: AsyncKit, outer: float | None
) -> None:
    """The outer scope goes on with its own limit."""
    with one.app.app_context():
        async with session_manager(timeout=outer) as session:
            before = await in_force(one, session)
            with pytest.raises(SQLAlchemyError):
                async with session_manager(timeout=2, propagation="nested"):
                    await session.execute(text("SELECT nonsense"))
            assert await in_force(one, session) == before
    assert await timeout_of_the_next_transaction(one) == found(one)


async def test_an_inner_timeout_ends_with_a_savepoint_that_is_poisoned(one: AsyncKit) -> None:
    """A savepoint that raises when its block ended well gives the limit back too."""
    with one.app.app_context():
        async with session_manager() as session:
            with pytest.raises(errors.UnexpectedRollbackError):
                async with session_manager(timeout=2, propagation="nested"):
                    await session.execute(select(1))
                    with pytest.raises(ZeroDivisionError):
                        async with session_manager():
                            raise ZeroDivisionError
            assert await in_force(one, session) == found(one)


async def test_an_inner_timeout_ends_with_a_join_that_fails(one: AsyncKit) -> None:
    """The transaction can only be rolled back; its connection goes back without the limit."""
    with one.app.app_context(), pytest.raises(IntegrityError):
        async with session_manager(), session_manager(timeout=2) as session:
            session.add_all([one.Item(name="same"), one.Item(name="same")])
            await session.flush()
    assert await timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.postgresql
async def test_a_limit_that_cannot_be_set_back_is_a_note(make_kit: MakeKit) -> None:
    """The connection is gone: the first error is what counts."""
    kit = make_kit("asyncpg")
    with kit.app.app_context(), pytest.raises(KeyError, match="first") as caught:
        async with session_manager(), session_manager(timeout=2) as session:
            await close_underneath(session)
            raise KeyError("first")
    assert any("could not be set back" in note for note in notes_of(caught.value))


@pytest.mark.postgresql
async def test_a_limit_that_cannot_be_set_back_is_an_error(make_kit: MakeKit) -> None:
    """The block ended well: then the lost connection is the error."""
    kit = make_kit("asyncpg")
    with kit.app.app_context(), pytest.raises(DBAPIError, match="closed"):
        async with session_manager(), session_manager(timeout=2) as session:
            await close_underneath(session)
    assert kit.checkedout() == 0


@pytest.mark.postgresql
async def test_a_failure_swallowed_inside_an_inner_timeout(make_kit: MakeKit) -> None:
    """PostgreSQL takes no statement after a failed one, and none is sent to set the limit back."""
    kit = make_kit("asyncpg")
    with kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError, match="nonsense"):
        async with session_manager() as session, session_manager(timeout=2):
            with pytest.raises(SQLAlchemyError):
                await session.execute(text("SELECT nonsense"))
    assert kit.checkedout() == 0


@pytest.mark.postgresql
async def test_a_savepoint_whose_timeout_cannot_be_set_is_undone(make_kit: MakeKit) -> None:
    """The block does not run, no savepoint stays open, and the owner learns what PostgreSQL thinks of it."""
    kit = make_kit("asyncpg")
    with kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError):
        async with session_manager() as session:
            await session.execute(text("SELECT 1"))
            with pytest.raises(SQLAlchemyError, match="statement_timeout"):
                await session_manager(timeout=10000000000.0, propagation="nested").__aenter__()
            assert session.get_nested_transaction() is None


async def test_the_timeout_holds_for_a_bind_that_joins_later(
    make_kit: MakeKit, driver: str
) -> None:
    """Each connection of the scope is asked, and each is reset."""
    kit = make_kit(driver, binds=True, engine_options=ONE)
    told = text(READ_TIMEOUT[kit.database.dialect])
    with kit.app.app_context():
        async with session_manager() as session, session_manager(timeout=2):
            second = {"bind_arguments": {"mapper": kit.Other.__mapper__}}
            assert str(await session.scalar(told, **second)) == seconds(kit, 2)
        async with session_manager() as session:
            assert str(await session.scalar(told, **second)) == found(kit)


async def test_a_session_that_was_begun_gets_the_timeout(one: AsyncKit) -> None:
    """A timeout can come late: the connection in use is asked as well."""
    with one.app.app_context():
        async with session_manager(propagation="supports") as session:
            await session.execute(select(1))
            async with session_manager(timeout=2):
                assert await in_force(one, session) == seconds(one, 2)
    assert await timeout_of_the_next_transaction(one) == found(one)


async def test_a_timeout_below_a_millisecond_is_no_lack_of_one(one: AsyncKit) -> None:
    """Rounded to 0 it would mean "for ever" to the databases."""
    with one.app.app_context():
        async with session_manager(timeout=0.0001) as session:
            assert one.database.dialect == "mariadb" or await in_force(one, session) == seconds(
                one, 0.001
            )


async def test_all_three_together_leave_nothing_behind(one: AsyncKit) -> None:
    """The next transaction on the same connection writes, waits and reads as ever."""
    asked: dict[str, Any] = {"read_only": True, "isolation_level": "SERIALIZABLE", "timeout": 2}
    with one.app.app_context():
        async with session_manager(**asked) as session:
            assert await in_force(one, session) == seconds(one, 2)
        async with session_manager() as session:
            session.add(one.Item(name="row"))
            assert await in_force(one, session) == found(one)
    assert one.names() == ["row"]


async def test_an_unknown_database_is_asked_for_nothing(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain scope works on any database; what we cannot ask for is refused, not ignored."""
    kit = make_kit()
    monkeypatch.setattr(kit.engine.dialect, "name", "oracle")
    with kit.app.app_context():
        async with session_manager() as session:
            assert await session.scalar(select(1)) == 1
        with pytest.raises(NotImplementedError, match="are not known for 'oracle'"):
            async with session_manager(timeout=2) as session:
                await session.execute(select(1))


async def test_a_connection_that_was_lost_is_not_asked(one: AsyncKit) -> None:
    """An inner timeout ends without touching a connection that is invalid."""
    with one.app.app_context(), pytest.raises(SQLAlchemyError, match="invalid"):
        async with session_manager() as session:
            async with session_manager(timeout=2):
                await (await session.connection()).invalidate()
            await session.execute(select(1))
    assert await timeout_of_the_next_transaction(one) == found(one)


async def test_a_connection_that_cannot_be_mended_leaves_the_pool(make_kit: MakeKit) -> None:
    """What was asked for cannot be undone on a connection that somebody has closed."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), pytest.raises(ZeroDivisionError):
        async with session_manager(read_only=True) as session:
            await close_underneath(session)
            raise ZeroDivisionError
    assert kit.checkedout() == 0
    await write(kit, "row")
    assert kit.names() == ["row"]


async def test_an_invalidated_connection_needs_no_mending(make_kit: MakeKit) -> None:
    """A lost connection is not used again, so nothing has to be undone on it."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), pytest.raises(ZeroDivisionError):
        async with session_manager(read_only=True, timeout=2) as session:
            await (await session.connection()).invalidate()
            raise ZeroDivisionError
    assert await timeout_of_the_next_transaction(kit) == found(kit)


@pytest.mark.parametrize("member", Propagation)
async def test_members_and_strings_mean_the_same(any_kit: AsyncKit, member: Propagation) -> None:
    """The enum is for editors, the strings for people."""
    async with session_manager():
        seen = [await _kind_of(each) for each in (member, member.value)]
    assert seen[0] == seen[1]


async def _kind_of(propagation: Propagation | str) -> str:
    try:
        async with session_manager(propagation=propagation):
            scope = current_scope()
            return "none" if scope is None else type(scope).__name__
    except errors.TransactionActiveError as error:
        return type(error).__name__
