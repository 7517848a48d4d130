"""A second transaction that could only wait for its own caller is refused at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import pytest
from sqlalchemy import (
    AssertionPool,
    Engine,
    NullPool,
    SingletonThreadPool,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from flask_safesession import errors, session_manager

from .kit import Kit, MakeKit

ONE: Final = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 30}
TWO: Final = {"pool_size": 1, "max_overflow": 1, "pool_timeout": 30}


@contextmanager
def refused_at_once(error: type[Exception], match: str) -> Iterator[None]:
    """The block raises *error*, and long before any time limit of a pool or a database."""
    begun = time.monotonic()
    with pytest.raises(error, match=match):
        yield
    assert time.monotonic() - begun < 0.5


def starved(held: int, limit: int) -> Any:
    """Expect that no further connection can be had."""
    return refused_at_once(errors.PoolStarvationError, f"holds {held} of the {limit} that its pool")


def deadlocked() -> Any:
    """Expect that the caller would wait for its own lock."""
    return refused_at_once(errors.SelfDeadlockError, "has written to the same SQLite file")


def new_scope(**options: Any) -> Any:
    """A scope with a session and a connection of its own."""
    return session_manager(propagation="requires_new", **options)


@pytest.fixture
def wal_kit(sqlite_kit: Kit) -> Kit:
    """A SQLite file that can be read while it is written, as an application would have it."""
    return with_wal(sqlite_kit)


def with_wal(kit: Kit) -> Kit:
    assert kit.database.observer is not None
    with kit.database.observer.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return kit


def test_a_pool_of_one_is_refused_at_once(make_kit: MakeKit, database: Any) -> None:
    """Stock SQLAlchemy waits ``pool_timeout`` seconds for the connection that the caller holds."""
    kit = make_kit(database, engine_options=ONE)
    with kit.app.app_context(), session_manager(name="outer") as session:
        session.add(kit.Item(name="outer"))
        session.flush()
        with starved(1, 1), new_scope():
            pass
        assert kit.checkedout() == 1
    assert (kit.names(), kit.checkedout()) == (["outer"], 0)


def test_the_message_names_the_holder_and_hides_the_password(make_kit: MakeKit) -> None:
    """It says who holds the connection, where, and which calls help."""
    kit = make_kit(engine_options=ONE)
    wanted = r"'outer' owns \(.*test_pool\.py:\d+\).*'pool_size'.*propagation=\"nested\""
    with kit.app.app_context(), session_manager(name="outer") as session:
        session.execute(select(1))
        with pytest.raises(errors.PoolStarvationError, match=wanted):
            new_scope().__enter__()


def test_a_refused_second_transaction_leaves_the_outer_one_usable(make_kit: MakeKit) -> None:
    """A stock program is left with a pool that timed out; here the caller may fall back."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
        with starved(1, 1), new_scope():
            pass
        with session_manager(propagation="nested"):
            session.add(kit.Item(name="fallback"))
    assert kit.names() == ["fallback"]


def test_a_pool_of_one_suffices_while_the_outer_scope_holds_nothing(
    make_kit: MakeKit, database: Any
) -> None:
    """A scope takes its connection at its first statement, so the inner one may come first."""
    kit = make_kit(database, engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        with new_scope() as inner:
            inner.add(kit.Item(name="inner"))
        outer.add(kit.Item(name="outer"))
    assert kit.names() == ["inner", "outer"]


def test_a_chain_of_three_needs_three_connections(make_kit: MakeKit, database: Any) -> None:
    """All suspended scopes count; stock SQLAlchemy would wait at the third."""
    kit = make_kit(database, engine_options=TWO)
    with kit.app.app_context(), session_manager() as first:
        first.execute(select(1))
        with new_scope() as second:
            second.execute(select(1))
            with starved(2, 2), new_scope():
                pass
            second.add(kit.Item(name="second"))
    assert (kit.names(), kit.checkedout()) == (["second"], 0)


@pytest.mark.parametrize("options", [{"pool_size": 0}, {"pool_size": 1, "max_overflow": -1}])
def test_a_pool_without_a_limit_is_never_starved(
    make_kit: MakeKit, options: Mapping[str, int]
) -> None:
    """SQLAlchemy's two ways to say "as many as needed" are understood."""
    kit = make_kit(engine_options=options)
    with kit.app.app_context(), session_manager() as first:
        first.execute(select(1))
        with new_scope() as second, new_scope() as third:
            assert [each.scalar(select(1)) for each in (second, third)] == [1, 1]


def test_a_null_pool_is_never_starved(make_kit: MakeKit, database: Any) -> None:
    """Without a pool each transaction opens its own connection."""
    kit = make_kit(database, engine_options={"poolclass": NullPool, "pool_timeout": None})
    with kit.app.app_context(), session_manager() as first:
        first.execute(select(1))
        with new_scope() as second:
            second.add(kit.Item(name="second"))
    assert (kit.names(), kit.checkedout()) == (["second"], 0)


@pytest.mark.parametrize("poolclass", [None, AssertionPool, SingletonThreadPool])
def test_memory_has_one_connection(make_kit: MakeKit, poolclass: Any) -> None:
    """Stock SQLAlchemy gives both sessions the same connection, and so the same transaction."""
    options = {} if poolclass is None else {"poolclass": poolclass, "pool_timeout": None}
    kit = make_kit("sqlite-memory" if poolclass is None else "sqlite-file", engine_options=options)
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="outer"))
        session.flush()
        with starved(1, 1), new_scope():
            pass
    assert kit.names() == ["outer"]


def test_memory_is_free_until_the_outer_scope_uses_it(make_kit: MakeKit) -> None:
    """One after the other, two transactions can share the only connection."""
    kit = make_kit("sqlite-memory")
    with kit.app.app_context(), session_manager() as outer:
        with new_scope() as inner:
            inner.add(kit.Item(name="inner"))
        outer.add(kit.Item(name="outer"))
    assert kit.names() == ["inner", "outer"]


def test_a_second_bind_is_checked_when_it_is_first_used(make_kit: MakeKit, database: Any) -> None:
    """The main database is free; the other one is refused at the statement that needs it."""
    kit = make_kit(database, binds=True, engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        outer.add(kit.Other(name="outer"))
        outer.flush()
        with starved(1, 1), new_scope() as inner:
            inner.add(kit.Item(name="inner"))
            inner.flush()
            inner.scalars(select(kit.Other)).all()
    assert (kit.names(), kit.other_names(), kit.checkedout()) == ([], ["outer"], 0)


def test_binds_are_counted_apart(make_kit: MakeKit, database: Any) -> None:
    """Two engines are two pools: one connection of each is no reason to refuse."""
    kit = make_kit(database, binds=True, engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        outer.add(kit.Other(name="outer"))
        outer.flush()
        with new_scope() as inner:
            inner.add(kit.Item(name="inner"))
    assert (kit.names(), kit.other_names()) == (["inner"], ["outer"])


def test_code_without_a_scope_is_checked_at_its_first_statement(make_kit: MakeKit) -> None:
    """Inside not_supported a statement would wait as well, with stock SQLAlchemy for the pool."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        outer.execute(select(1))
        with session_manager(propagation="not_supported") as session:
            with starved(1, 1):
                session.execute(select(1))
        outer.add(kit.Item(name="outer"))
    assert (kit.names(), kit.checkedout()) == (["outer"], 0)


def test_each_attempt_inside_not_supported_is_checked(make_kit: MakeKit) -> None:
    """A refused scope is no pass for the next one."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        outer.execute(select(1))
        with session_manager(propagation="not_supported"):
            for _ in range(2):
                with starved(1, 1), session_manager() as inner:
                    inner.execute(select(1))


def test_a_scope_inside_not_supported_counts_what_is_suspended(make_kit: MakeKit) -> None:
    """The chain is seen through a block without a scope."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), session_manager() as outer:
        outer.execute(select(1))
        with (
            session_manager(propagation="not_supported"),
            starved(1, 1),
            session_manager() as inner,
        ):
            inner.execute(select(1))


def write_by_flush(kit: Kit, session: Session) -> None:
    session.add(kit.Item(name="outer"))
    session.flush()


def write_by_core(kit: Kit, session: Session) -> None:
    session.execute(insert(kit.Item).values(name="outer"))


def write_by_text(kit: Kit, session: Session) -> None:
    session.execute(text("INSERT INTO item (name) VALUES ('outer')"))


def write_on_the_connection(kit: Kit, session: Session) -> None:
    session.connection().exec_driver_sql("INSERT INTO item (name) VALUES ('outer')")


def write_to_no_row(kit: Kit, session: Session) -> None:
    session.execute(update(kit.Item).values(amount=1))


def write_in_a_savepoint(kit: Kit, session: Session) -> None:
    session.scalars(select(kit.Item)).all()
    with session_manager(propagation="nested"):
        write_by_text(kit, session)


WRITES: Final = (
    write_by_flush,
    write_by_core,
    write_by_text,
    write_on_the_connection,
    write_to_no_row,
    write_in_a_savepoint,
)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("level", [None, "SERIALIZABLE"])
def test_a_writer_would_wait_for_itself(sqlite_kit: Kit, write: Any, level: str | None) -> None:
    """Stock pysqlite waits its busy timeout, then says "database is locked" without a reason."""
    with sqlite_kit.app.app_context(), session_manager(isolation_level=level) as session:
        write(sqlite_kit, session)
        with deadlocked(), new_scope():
            pass
        session.execute(text("DELETE FROM item"))
    assert sqlite_kit.checkedout() == 0


def test_the_refusal_names_the_writer_and_the_ways_out(sqlite_kit: Kit) -> None:
    """It says whose transaction holds the file, and which calls help."""
    wanted = r"'outer' owns \(.*test_pool\.py:\d+\).*'read_only=True'.*propagation=\"nested\""
    with sqlite_kit.app.app_context(), session_manager(name="outer") as session:
        write_by_flush(sqlite_kit, session)
        with pytest.raises(errors.SelfDeadlockError, match=wanted):
            new_scope().__enter__()


def test_what_a_rolled_back_savepoint_wrote_still_locks(sqlite_kit: Kit) -> None:
    """SQLite keeps the write lock until the transaction ends, whatever was undone."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        with pytest.raises(ValueError, match="undo"), session_manager(propagation="nested"):
            write_by_flush(sqlite_kit, session)
            raise ValueError("undo")
        with deadlocked(), new_scope():
            pass


def test_a_reader_does_not_stop_a_writer(sqlite_kit: Kit) -> None:
    """A scope that has only read holds no lock: its inner transaction may write."""
    with sqlite_kit.app.app_context(), session_manager() as outer:
        outer.scalars(select(sqlite_kit.Item)).all()
        with new_scope() as inner:
            inner.add(sqlite_kit.Item(name="inner"))
    assert sqlite_kit.names() == ["inner"]


@pytest.mark.parametrize(
    "options", [{"isolation_level": "SERIALIZABLE"}, {"propagation": "nested"}], ids=str
)
def test_a_snapshot_does_not_stop_a_writer(wal_kit: Kit, options: Mapping[str, Any]) -> None:
    """There a transaction is open without a write: BEGIN alone is no reason to refuse."""
    with wal_kit.app.app_context(), session_manager(isolation_level=options.get("isolation_level")):
        with session_manager(**options) as outer:
            outer.scalars(select(wal_kit.Item)).all()
            with new_scope() as inner:
                inner.add(wal_kit.Item(name="inner"))
    assert wal_kit.names() == ["inner"]


def test_a_savepoint_outside_of_any_session_is_left_alone(sqlite_kit: Kit) -> None:
    """Code that works on the engine itself has no scope, and its savepoints work as ever."""
    write = text("INSERT INTO item (name) VALUES ('row')")
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.execute(select(1))
    with sqlite_kit.engine.connect() as connection:
        with connection.begin_nested():
            connection.execute(write)
        connection.rollback()
    assert sqlite_kit.names() == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit attribute before")
def test_a_driver_that_always_begins_does_not_stop_a_writer(make_kit: MakeKit) -> None:
    """With Python's ``autocommit=False`` a transaction is open from the start, and tells nothing."""
    options = {"connect_args": {"timeout": 1, "autocommit": False}}
    kit = with_wal(make_kit(engine_options=options))
    with kit.app.app_context(), session_manager() as outer:
        outer.scalars(select(kit.Item)).all()
        with new_scope() as inner:
            inner.add(kit.Item(name="inner"))
    with kit.app.app_context(), session_manager() as outer:
        write_by_core(kit, outer)
        with deadlocked(), new_scope():
            pass


def test_a_reader_may_come_after_a_writer(wal_kit: Kit) -> None:
    """A second transaction that only reads waits for nobody."""
    with wal_kit.app.app_context(), session_manager() as outer:
        write_by_flush(wal_kit, outer)
        with new_scope(read_only=True) as inner:
            assert inner.scalars(select(wal_kit.Item.name)).all() == []
    assert wal_kit.names() == ["outer"]


def test_another_file_has_another_lock(make_kit: MakeKit) -> None:
    """Who has written to one database may open a second transaction on the other."""
    kit = make_kit(binds=True)
    with kit.app.app_context(), session_manager() as outer:
        outer.add(kit.Other(name="outer"))
        outer.flush()
        with new_scope() as inner:
            inner.add(kit.Item(name="inner"))
    assert (kit.names(), kit.other_names()) == (["inner"], ["outer"])


def test_the_other_file_is_checked_when_it_is_first_used(make_kit: MakeKit) -> None:
    """The refusal comes at the statement that would wait, and rolls the inner scope back."""
    kit = make_kit(binds=True)
    with kit.app.app_context(), session_manager() as outer:
        outer.add(kit.Other(name="outer"))
        outer.flush()
        with deadlocked(), new_scope() as inner:
            inner.add_all([kit.Item(name="inner"), kit.Other(name="inner")])
    assert (kit.names(), kit.other_names()) == ([], ["outer"])


def test_servers_have_many_writers(kit: Kit) -> None:
    """PostgreSQL and MariaDB lock rows: a second writer is refused on SQLite only."""
    refused = kit.database.dialect == "sqlite"
    with kit.app.app_context(), session_manager() as outer:
        # Names of their own: MariaDB locks the gap before a deleted name that is not purged yet.
        outer.add(kit.Item(name="one of two writers"))
        outer.flush()
        with deadlocked() if refused else nullcontext(), new_scope() as inner:
            inner.add(kit.Item(name="two of two writers"))
    assert len(kit.names()) == (1 if refused else 2)


def test_a_write_of_an_earlier_transaction_does_not_count(sqlite_kit: Kit) -> None:
    """The driver counts rows for as long as it is connected; only this transaction's matter."""
    with sqlite_kit.app.app_context():
        with session_manager() as session:
            write_by_flush(sqlite_kit, session)
        with session_manager(isolation_level="SERIALIZABLE") as session:
            session.execute(select(1))
            with new_scope() as inner:
                inner.add(sqlite_kit.Item(name="inner"))
    assert sqlite_kit.names() == ["inner", "outer"]


def test_pending_changes_are_no_write_yet(sqlite_kit: Kit) -> None:
    """What was added and not flushed holds no lock, and is stored when its turn comes."""
    with sqlite_kit.app.app_context(), session_manager() as outer:
        outer.add(sqlite_kit.Item(name="outer"))
        with new_scope() as inner:
            inner.add(sqlite_kit.Item(name="inner"))
    assert sqlite_kit.names() == ["inner", "outer"]


def test_a_session_without_a_bind_is_checked_when_it_has_one(make_kit: MakeKit) -> None:
    """A factory may know its engines by class only; the first statement is the place to refuse."""
    kit = make_kit(flavour="sessionmaker", engine_options=ONE)
    engine: Engine = kit.db.kw["bind"]
    kit.db.configure(bind=None, binds={kit.Item: engine})
    with kit.app.app_context(), session_manager() as outer:
        outer.scalars(select(kit.Item)).all()
        with starved(1, 1), new_scope() as inner:
            inner.scalars(select(kit.Item)).all()
