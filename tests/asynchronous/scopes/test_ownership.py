"""Nobody but its owner ends a transaction: which calls are refused, in which mode, and in which words."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction, async_sessionmaker
from sqlalchemy.orm import Session

from flask_safesession import (
    SafeSession,
    errors,
    on_commit,
    on_rollback,
    session_manager,
)
from flask_safesession.errors import (
    OwnershipWarning,
    TransactionOwnershipError,
    UnexpectedRollbackError,
)

from ...test_ownership import made_modules
from .conftest import MakeKit
from .kit import AsyncKit, current_session


async def _enter(block: Any) -> None:
    async with block:
        pass


async def _connection(session: AsyncSession, call: str) -> None:
    await getattr(await session.connection(), call)()


def _transaction(session: AsyncSession) -> AsyncSessionTransaction:
    transaction = session.get_transaction()
    assert transaction is not None
    return transaction


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
    "transaction.commit": ("commit", lambda session: _transaction(session).commit()),
    "transaction.rollback": ("rollback", lambda session: _transaction(session).rollback()),
}


async def _library(call: Callable[..., Awaitable[Any]], *args: Any) -> None:
    """A coroutine function of somebody else, which does it."""
    await call(*args)


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


def _only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", [CALLS[each][1] for each in names], ids=names)


@pytest.mark.parametrize("name", [each for each in CALLS if each != "prepare"])
async def test_a_call_is_allowed_where_nobody_owns_the_transaction(
    sqlite_kit: AsyncKit, name: str
) -> None:
    """Hand-written transactions of the same app stay as they are, after a scope too."""
    async with session_manager():
        pass
    async with session_manager(propagation="supports") as session:
        if "begin" not in name:
            await session.execute(select(sqlite_kit.Item))
        await CALLS[name][1](session)
        await session.close()
    assert sqlite_kit.checkedout() == 0


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("begin", "Call 'begin_nested()' here"),
        ("commit", "Call 'flush()' here"),
        ("prepare", "Call 'flush()' here"),
        ("rollback", "Raise an exception, or call 'current_scope().set_rollback_only()' here"),
        ("invalidate", "Raise an exception, or call 'current_scope().set_rollback_only()' here"),
        ("close", "Leave that to the owner here"),
    ],
)
async def test_the_message_says_what_to_call_instead(
    sqlite_kit: AsyncKit, call: str, instead: str
) -> None:
    """Each call has its own advice."""
    async with session_manager():
        with pytest.raises(TransactionOwnershipError) as caught:
            await _library(CALLS[call][1], await current_session())
    assert instead in str(caught.value)


async def test_every_way_of_having_sessions_is_guarded(any_kit: AsyncKit) -> None:
    """Flask-SQLAlchemy, Flask-SQLAlchemy-Lite, a sessionmaker and a scoped session."""
    async with any_kit.safe.session_manager() as session:
        session.add(any_kit.Item(name="kept"))
        with pytest.raises(TransactionOwnershipError):
            await (await current_session()).commit()
        with pytest.raises(TransactionOwnershipError):
            await session.rollback()
    assert any_kit.names() == ["kept"]


async def test_a_call_in_a_joined_scope_is_refused_too(sqlite_kit: AsyncKit) -> None:
    """The inner scope does not own the transaction, and the message names the outer one."""
    async with session_manager(name="outer"):
        async with session_manager(name="inner") as session:
            with pytest.raises(TransactionOwnershipError, match="'outer' owns"):
                await session.commit()


async def test_a_call_in_a_nested_scope_is_refused_too(kit: AsyncKit) -> None:
    """Not even the savepoint's scope may end the transaction around it."""
    async with session_manager(name="outer"):
        async with session_manager(propagation="nested") as session:
            session.add(kit.Item(name="kept"))
            with pytest.raises(TransactionOwnershipError, match="'outer' owns"):
                await session.commit()
    assert kit.names() == ["kept"]


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        ("begin", "remove the call, or call 'begin_nested()'."),
        ("commit", "remove the call, or call 'flush()'."),
        ("rollback", "remove the call, or call 'current_scope().set_rollback_only()'."),
        ("close", "remove the call."),
    ],
)
async def test_the_owner_itself_does_not_end_it_by_hand_either(
    sqlite_kit: AsyncKit, call: str, instead: str
) -> None:
    """The block ends the transaction, nothing in it does; nobody is told to open one of his own."""
    async with session_manager(name="mine") as session:
        with pytest.raises(TransactionOwnershipError, match=f"'{call}.*that 'mine' owns") as caught:
            await getattr(session, call)()
    assert str(caught.value).endswith(
        "The scope commits at the end of its block, and rolls back when an exception leaves it: "
        + instead
    )


async def test_savepoints_stay_allowed(kit: AsyncKit) -> None:
    """A savepoint belongs to whoever began it: its commit and its rollback are nobody else's."""
    async with session_manager() as session:
        kept = await session.begin_nested()
        session.add(kit.Item(name="kept"))
        await kept.commit()
        dropped = await session.begin_nested()
        session.add(kit.Item(name="dropped"))
        await dropped.rollback()
    assert kit.names() == ["kept"]


async def test_savepoints_stay_allowed_as_blocks(kit: AsyncKit) -> None:
    """``with session.begin_nested():`` and an exception that is caught around it."""
    async with session_manager() as session:
        session.add(kit.Item(name="first"))
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(kit.Item(name="first"))
        async with session.begin_nested():
            session.add(kit.Item(name="second"))
    assert kit.names() == ["first", "second"]


async def test_flush_stays_allowed(kit: AsyncKit) -> None:
    """A service flushes to get its keys."""
    async with session_manager() as session:
        item = kit.Item(name="flushed")
        session.add(item)
        await (await current_session()).flush()
        assert item.id is not None
    assert kit.names() == ["flushed"]


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
async def test_ending_the_transaction_of_the_connection_is_found(kit: AsyncKit, end: str) -> None:
    """SQLAlchemy hands out the connection's own transaction; the owner learns that it was ended."""
    with pytest.raises(TransactionOwnershipError, match="ended by somebody else"):
        async with session_manager() as session:
            session.add(kit.Item(name="first"))
            await session.flush()
            transaction = (await session.connection()).get_transaction()
            assert transaction is not None
            await getattr(transaction, end)()
    assert not (await current_session()).in_transaction()
    assert kit.checkedout() == 0


Send = Callable[[AsyncSession, str], Awaitable[Any]]


async def _on_connection(session: AsyncSession, call: str, sql: Any) -> None:
    await getattr(await session.connection(), call)(sql)


SENDERS: dict[str, Send] = {
    "execute": lambda session, sql: session.execute(text(sql)),
    "scalar": lambda session, sql: session.scalar(text(sql)),
    "scalars": lambda session, sql: session.scalars(text(sql)),
    "connection": lambda session, sql: _on_connection(session, "execute", text(sql)),
    "driver": lambda session, sql: _on_connection(session, "exec_driver_sql", sql),
}

each_sender = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
# The others ask COMMIT for rows when it is done.
each_free_sender = pytest.mark.parametrize(
    "send", [SENDERS[each] for each in ("execute", "connection", "driver")]
)


@each_sender
async def test_sql_that_would_end_the_transaction_is_refused(kit: AsyncKit, send: Send) -> None:
    """Stock sessions pass it on, and what came before it is stored, or lost, past the session."""
    async with session_manager() as session:
        session.add(kit.Item(name="before"))
        await session.flush()
        with pytest.raises(TransactionOwnershipError, match=r"sent 'COMMIT'.*Call 'flush"):
            await _library(send, session, "COMMIT")
        assert kit.names() == []
        session.add(kit.Item(name="after"))
    assert kit.names() == ["after", "before"]


@pytest.mark.parametrize("sql", ["commit;", "\n end", "ABORT", "Rollback WORK", "COMMIT AND CHAIN"])
async def test_such_sql_is_known_by_its_first_word(sqlite_kit: AsyncKit, sql: str) -> None:
    """The message quotes that word as the caller wrote it."""
    word = sql.strip(" ;\n").partition(" ")[0]
    async with session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=f"sent '{word}'"):
            await session.execute(text(sql))


@pytest.mark.parametrize("sql", ["BEGIN", "START TRANSACTION"])
async def test_sql_that_would_begin_another_transaction_is_refused(kit: AsyncKit, sql: str) -> None:
    """MariaDB commits the open one first, PostgreSQL tells nobody but its log; SQLite refuses it by itself."""
    refusal = OperationalError if kit.database.dialect == "sqlite" else TransactionOwnershipError
    async with session_manager() as session:
        session.add(kit.Item(name="kept"))
        await session.flush()
        with pytest.raises(refusal):
            await session.execute(text(sql))
        assert kit.names() == []
    assert kit.names() == ["kept"]


async def test_begin_may_come_first(kit: AsyncKit) -> None:
    """``BEGIN IMMEDIATE`` of SQLite and ``START TRANSACTION WITH CONSISTENT SNAPSHOT`` of MariaDB have their uses."""
    sql = "BEGIN IMMEDIATE" if kit.database.dialect == "sqlite" else "BEGIN"
    with pytest.raises(KeyError):
        async with session_manager() as session:
            await session.execute(text(sql))
            session.add(kit.Item(name="lost"))
            await session.flush()
            raise KeyError
    assert kit.names() == []


async def test_savepoints_may_be_sent_as_sql(kit: AsyncKit) -> None:
    """They end nothing that belongs to somebody else."""
    async with session_manager() as session:
        session.add(kit.Item(name="kept"))
        await session.flush()
        await session.execute(text("SAVEPOINT mine"))
        session.add(kit.Item(name="undone"))
        await session.flush()
        await session.execute(text("ROLLBACK TO SAVEPOINT mine"))
        session.expunge_all()
    assert kit.names() == ["kept"]


async def test_a_transaction_of_ones_own_may_be_ended_by_sql(kit: AsyncKit) -> None:
    """Where no scope is open, nothing is guarded; a connection that was taken in a scope included."""
    async with session_manager() as session:
        await session.connection()
    async with session_manager(propagation="supports"):
        session.add(kit.Item(name="kept"))
        await session.flush()
        await (await session.connection()).execute(text("COMMIT"))
        assert kit.names() == ["kept"]
        await session.commit()


@pytest.fixture
def mode_kit(make_kit: MakeKit, mode: str) -> AsyncKit:
    """A kit on a SQLite file with the ownership mode of the test."""
    return make_kit(options={"ownership": mode})


async def _spoil(kit: AsyncKit, call: Call) -> None:
    """Add a row, let a service make *call*, add another, and fail."""
    with pytest.raises(KeyError):
        async with session_manager() as session:
            session.add(kit.Item(name="before"))
            await session.flush()
            await _library(call, await current_session())
            (await current_session()).add(kit.Item(name="after"))
            await (await current_session()).flush()
            raise KeyError


@pytest.mark.parametrize("mode", ["off"])
@_only("rollback", "close", "reset", "invalidate", "transaction.rollback")
async def test_off_lets_a_rollback_through(mode_kit: AsyncKit, call: Call) -> None:
    """What came before it is gone, and the scope commits what comes later."""
    with mode_kit.app.app_context():
        async with session_manager() as session:
            session.add(mode_kit.Item(name="before"))
            await session.flush()
            await call(await current_session())
            (await current_session()).add(mode_kit.Item(name="after"))
            assert await current_session() is session
    assert mode_kit.names() == ["after"]


@pytest.mark.parametrize("mode", ["off"])
@each_free_sender
async def test_off_lets_sql_through(mode_kit: AsyncKit, send: Send) -> None:
    """What came before it is stored whatever the owner does."""
    with mode_kit.app.app_context():
        await _spoil(mode_kit, lambda session: send(session, "COMMIT"))
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["warn"])
@each_free_sender
async def test_warn_warns_once_of_sql_and_sends_it(mode_kit: AsyncKit, send: Send) -> None:
    """The statement goes through the session and its connection, and is told of once."""
    with mode_kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await _spoil(mode_kit, lambda session: send(session, "COMMIT"))
    assert [each.category for each in caught] == [OwnershipWarning]
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["defer"])
@each_sender
async def test_defer_makes_sql_harmless(mode_kit: AsyncKit, send: Send) -> None:
    """COMMIT is a flush, and ROLLBACK lets the owner roll back."""
    with mode_kit.app.app_context():
        await _spoil(mode_kit, lambda session: send(session, "COMMIT"))
        with pytest.raises(UnexpectedRollbackError, match="A service asked for a rollback"):
            async with session_manager() as session:
                session.add(mode_kit.Item(name="lost"))
                await send(session, "ROLLBACK")
    assert mode_kit.names() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", ["defer"])
async def test_defer_ignores_begin(make_kit: MakeKit, mode: str) -> None:
    """The transaction has begun."""
    kit = make_kit("asyncpg", options={"ownership": mode})
    with kit.app.app_context():
        with pytest.raises(KeyError):
            async with session_manager() as session:
                session.add(kit.Item(name="lost"))
                await session.flush()
                await session.execute(text("BEGIN"))
                raise KeyError
    assert kit.names() == []


@pytest.mark.parametrize("mode", ["off"])
async def test_off_leaves_sqlalchemys_own_refusal_of_begin(mode_kit: AsyncKit) -> None:
    """A second ``begin()`` is an error of SQLAlchemy, and is again."""
    with mode_kit.app.app_context():
        async with session_manager() as session:
            with pytest.raises(InvalidRequestError, match="already begun"):
                await session.begin()


@pytest.mark.parametrize("mode", ["warn"])
async def test_warn_warns_and_does_it(mode_kit: AsyncKit) -> None:
    """The commit happens, and the warning says what the error would have said."""
    with mode_kit.app.app_context():
        with pytest.warns(OwnershipWarning, match=r"called 'commit\(\)'.*Call 'flush\(\)'"):
            await _spoil(mode_kit, CALLS["commit"][1])
    assert mode_kit.names() == ["before"]


@pytest.mark.parametrize("mode", ["warn"])
async def test_warn_warns_once_per_place(mode_kit: AsyncKit) -> None:
    """Under Python's default filter the second call from the same line is silent."""
    with mode_kit.app.app_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            async with session_manager(name="loop"):
                await _service(await current_session())
        async with session_manager(name="loop") as session:
            await session.commit()
    lines = [each.lineno for each in caught]
    assert len(lines) == 2
    assert lines[0] == _service.__code__.co_firstlineno + 1


@pytest.mark.parametrize("mode", ["warn"])
async def test_hooks_run_with_the_commit_that_was_let_through(mode_kit: AsyncKit) -> None:
    """They waited for that transaction, and not for the one that the scope goes on with."""
    ran: list[str] = []
    with mode_kit.app.app_context():
        async with session_manager() as session:
            on_commit(ran.append, "first")
            with pytest.warns(OwnershipWarning):
                await session.commit()
            assert ran == ["first"]
            await session.execute(select(mode_kit.Item))
            on_commit(ran.append, "second")
    assert ran == ["first", "second"]


@pytest.mark.parametrize("mode", ["off"])
@_only("rollback", "close", "reset", "invalidate")
async def test_hooks_of_a_rollback_run_where_it_was_let_through(
    mode_kit: AsyncKit, call: Call
) -> None:
    """The ``on_commit`` hooks of what was rolled back never run."""
    ran: list[str] = []
    with mode_kit.app.app_context():
        async with session_manager() as session:
            await session.execute(select(mode_kit.Item))
            on_commit(ran.append, "committed")
            on_rollback(ran.append, "rolled back")
            await call(await current_session())
            assert ran == ["rolled back"]
    assert ran == ["rolled back"]


@pytest.mark.parametrize("mode", ["defer"])
@_only("rollback", "invalidate", "connection.rollback", "transaction.rollback")
async def test_defer_makes_a_rollback_rollback_only(mode_kit: AsyncKit, call: Call) -> None:
    """Nothing is lost in silence: the owner gets the error where it wanted to commit."""
    with mode_kit.app.app_context():
        with pytest.raises(UnexpectedRollbackError, match="A service asked for a rollback"):
            async with session_manager() as session:
                session.add(mode_kit.Item(name="lost"))
                await call(await current_session())
                session.add(mode_kit.Item(name="lost too"))
                await session.flush()
    assert mode_kit.names() == []


@pytest.mark.parametrize("mode", ["defer"])
@_only("close", "reset", "async with session", "connection.close")
async def test_defer_makes_a_close_nothing(mode_kit: AsyncKit, call: Call) -> None:
    """The session stays the same, with all that is in it."""
    with mode_kit.app.app_context():
        async with session_manager() as session:
            item = mode_kit.Item(name="kept")
            session.add(item)
            await call(await current_session())
            assert await current_session() is session
            assert item in session
    assert mode_kit.names() == ["kept"]


@pytest.mark.parametrize("mode", ["defer"])
async def test_defer_makes_a_begin_a_savepoint(mode_kit: AsyncKit) -> None:
    """The failure of such a block undoes what the block did, as its author expected."""
    with mode_kit.app.app_context():
        async with session_manager() as session:
            session.add(mode_kit.Item(name="outer"))
            async with session.begin():
                session.add(mode_kit.Item(name="kept"))
            with pytest.raises(KeyError):
                async with session.begin():
                    session.add(mode_kit.Item(name="dropped"))
                    raise KeyError
    assert mode_kit.names() == ["kept", "outer"]


@pytest.fixture
def libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], ModuleType]]:
    """Third-party modules, made when their dotted name is asked for."""
    code = "async def end(session, call): await getattr(session, call)()\n"
    with made_modules(tmp_path, monkeypatch, code) as make:
        yield make


@pytest.mark.parametrize(
    ("modules", "module", "stored"),
    [
        ({"safeshop": "off"}, "safeshop.models", ["item"]),
        ({"safeshop": "off"}, "safeshop.deep.down.models", ["item"]),
        ({"safeshop": "defer"}, "safeshop.models", []),
        ({"safeshop": "off", "safeshop.models": "defer"}, "safeshop.models", []),
        ({"safeshop": "defer", "safeshop.models": "off"}, "safeshop.models", ["item"]),
        ({"safeshop": "defer", "safeshop.other": "off"}, "safeshop.models", []),
        ({"safeshop_models": "off"}, "safeshop_models", ["item"]),
    ],
)
async def test_the_mode_goes_by_the_calling_package(
    make_kit: MakeKit,
    libraries: Callable[[str], Any],
    modules: dict[str, str],
    module: str,
    stored: list[str],
) -> None:
    """The longest name that is set for the calling module counts, and the owner then fails."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": modules})
    library = libraries(module)
    with kit.app.app_context(), pytest.raises(KeyError):
        async with session_manager() as session:
            session.add(kit.Item(name="item"))
            await library.end(session, "commit")
            raise KeyError
    assert kit.names() == stored


@pytest.mark.parametrize("module", ["safeshopping", "namesake.safeshop"])
async def test_the_mode_of_a_package_is_not_that_of_its_namesakes(
    make_kit: MakeKit, libraries: Callable[[str], Any], module: str
) -> None:
    """Whole names count: what only starts or ends like them has the app's own mode."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "off"}})
    library = libraries(module)
    with kit.app.app_context():
        async with session_manager() as session:
            with pytest.raises(TransactionOwnershipError, match="'end' called"):
                await library.end(session, "commit")


async def test_a_package_may_be_stricter_than_the_app(
    make_kit: MakeKit, libraries: Callable[[str], Any]
) -> None:
    """``"raise"`` for one package where the others are let through."""
    modules = {"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "raise"}}
    kit = make_kit(config=modules, options={"ownership": "off"})
    library = libraries("safeshop.models")
    with kit.app.app_context():
        async with session_manager() as session:
            await session.commit()
            with pytest.raises(TransactionOwnershipError):
                await library.end(session, "commit")


async def test_the_warning_about_a_package_points_into_it(
    make_kit: MakeKit, libraries: Callable[[str], Any]
) -> None:
    """Its file and line, so that it can be reported to its authors."""
    kit = make_kit(config={"SAFESESSION_OWNERSHIP_MODULES": {"safeshop": "warn"}})
    library = libraries("safeshop.models")
    with kit.app.app_context():
        async with session_manager() as session:
            with pytest.warns(OwnershipWarning, match=r"'end' called 'rollback\(\)'") as caught:
                await library.end(session, "rollback")
    assert (caught[0].filename, caught[0].lineno) == (library.__file__, 1)


class AuditedSession(AsyncSession):
    """A user's own session class."""

    flushes = 0

    async def flush(self, objects: Any = None) -> None:
        """Count, and do as ever."""
        self.flushes += 1
        await super().flush(objects)


class AuditedInnerSession(Session):
    """What it works with, of the user's own, too: a scope commits that one."""

    commits = 0

    def commit(self) -> None:
        """Count, and do as ever."""
        self.commits += 1
        super().commit()


@pytest.fixture
def audited(make_kit: MakeKit) -> AsyncKit:
    """A kit whose sessions are of the user's own classes."""
    kit = make_kit()
    kit.db = async_sessionmaker(
        kit.engine, class_=AuditedSession, sync_session_class=AuditedInnerSession
    )
    kit.app.extensions.clear()
    kit.safe = SafeSession(kit.app, kit.db)
    return kit


async def test_a_users_own_session_class_goes_on_working(audited: AsyncKit) -> None:
    """Its methods run below the guard, and the class itself is not touched."""
    before = dict(vars(AuditedSession)), dict(vars(AuditedInnerSession))
    with audited.app.app_context():
        async with session_manager() as session:
            assert isinstance(session, AuditedSession)
            inner: Any = session.sync_session
            with pytest.raises(TransactionOwnershipError):
                await session.commit()
            assert inner.commits == 0
            await session.flush()
    assert (session.flushes, inner.commits) == (1, 1)
    assert (dict(vars(AuditedSession)), dict(vars(AuditedInnerSession))) == before


async def test_other_factories_of_the_same_class_are_not_guarded(audited: AsyncKit) -> None:
    """The guard is put on one factory."""
    with audited.app.app_context():
        async with session_manager(), AuditedSession(audited.engine) as other:
            await other.commit()
            assert type(other) is AuditedSession
            assert type(other.sync_session) is Session


async def test_two_apps_have_their_own_modes(make_kit: MakeKit) -> None:
    """Each session follows the settings of the app that it belongs to."""
    strict, loose = (make_kit(), make_kit(options={"ownership": "off"}))
    with strict.app.app_context():
        async with strict.safe.session_manager() as session:
            with loose.app.app_context():
                async with loose.safe.session_manager() as inner:
                    inner.add(loose.Item(name="stored"))
                    await inner.commit()
            with pytest.raises(TransactionOwnershipError):
                await session.commit()
    assert loose.names() == ["stored"]


async def test_a_second_session_of_the_same_app_is_its_own(sqlite_kit: AsyncKit) -> None:
    """A session that no scope has opened may commit, though it comes from the guarded factory."""
    async with session_manager():
        async with sqlite_kit.factory() as other:
            other.add(sqlite_kit.Item(name="own"))
            await other.commit()
    assert sqlite_kit.names() == ["own"]


async def test_a_connection_is_free_again_after_the_scope(kit: AsyncKit) -> None:
    """What was put on it for the scope is taken off."""
    async with session_manager() as session:
        session.add(kit.Item(name="scope"))
    async with session_manager(propagation="supports") as session:
        connection = await session.connection()
        await connection.exec_driver_sql("INSERT INTO item (name, amount) VALUES ('by hand', 0)")
        await connection.commit()
        await connection.begin()
        await session.close()
    assert kit.names() == ["by hand", "scope"]


async def test_a_lent_connection_is_given_back_as_it_was(make_kit: MakeKit, driver: str) -> None:
    """A test kit binds the session to its own connection, and commits or rolls back that later."""
    kit = make_kit(driver)
    async with kit.engine.connect() as connection, connection.begin() as outer:
        before = set(vars(connection.sync_connection))
        kit.factory.configure(bind=connection, join_transaction_mode="rollback_only")
        with kit.app.app_context():
            async with session_manager() as session:
                session.add(kit.Item(name="in the test's transaction"))
        assert set(vars(connection.sync_connection)) == before
        await outer.rollback()
    assert kit.names() == []


async def test_an_app_gets_its_guard_only_once(make_kit: MakeKit) -> None:
    """Two extensions on one factory guard it once, and it still works."""
    kit = make_kit()
    second = Flask("second")
    safe = SafeSession(second, kit.db)
    with second.app_context():
        async with safe.session_manager() as session:
            session.add(kit.Item(name="second"))
            names = [each.__name__ for each in type(session.sync_session).__mro__]
    assert names.count("GuardMixin") == 1
    assert kit.names() == ["second"]


async def test_the_place_is_found_behind_helpers_of_the_standard_library(
    sqlite_kit: AsyncKit,
) -> None:
    """An ``AsyncExitStack`` that calls ``commit`` is not the place; whoever fills it is."""
    async with session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=r"test_the_place_is_found.*'commit"):
            async with AsyncExitStack() as stack:
                stack.push_async_callback(session.commit)


async def test_the_place_is_found_behind_generated_code(sqlite_kit: AsyncKit) -> None:
    """Code without a file is nobody's: the line that runs it is named."""
    async with session_manager() as session:
        with pytest.raises(TransactionOwnershipError, match=r"test_ownership\.py:\d+\)"):
            await eval("session.commit()", {"session": session})  # noqa: S307 - code without a file
