"""What a scope asks of the database: read-only mode, isolation level and timeout."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from flask_safesession import Propagation, classify, current_scope, errors, session_manager
from flask_safesession._core import demands

from .databases import Database
from .kit import Kit, MakeKit

ONE: Final = {"pool_size": 1, "max_overflow": 0}
LEVELS: Final = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
# How each database tells the timeout in force, and how it says "200 ms".
READ_TIMEOUT: Final = {
    "sqlite": "PRAGMA busy_timeout",
    "postgresql": "SHOW statement_timeout",
    "mariadb": "SELECT @@SESSION.max_statement_time",
}
SECONDS: Final[Mapping[str, Callable[[float], str]]] = {
    "sqlite": lambda seconds: str(round(seconds * 1000)),
    "postgresql": lambda seconds: f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms",
    "mariadb": lambda seconds: str(float(seconds)),
}
# The engines of the kits wait one second for a lock on SQLite; the servers know no limit.
FOUND: Final = {"sqlite": "1000", "postgresql": "0", "mariadb": "0.0"}


@pytest.fixture
def one(make_kit: MakeKit, database: Database) -> Kit:
    """A kit with one connection, so that each transaction gets the one that the last gave back."""
    return make_kit(database, engine_options=ONE)


def in_force(kit: Kit, session: Session) -> str:
    """The timeout, as the database itself tells it."""
    return str(session.scalar(text(READ_TIMEOUT[kit.database.dialect])))


def seconds(kit: Kit, value: float) -> str:
    """*value*, as the database would tell it."""
    return SECONDS[kit.database.dialect](value)


def found(kit: Kit) -> str:
    """What the database tells where nobody has asked for a timeout."""
    return FOUND[kit.database.dialect]


def timeout_of_the_next_transaction(kit: Kit) -> str:
    """What the pooled connection has kept."""
    with kit.app.app_context(), session_manager() as session:
        return in_force(kit, session)


def timeout_of(kit: Kit) -> str:
    """What is in force in the innermost scope."""
    scope = current_scope()
    assert scope is not None
    return in_force(kit, scope.session)


def write(kit: Kit, name: str) -> None:
    """Store a row past the scopes under test."""
    with kit.app.app_context(), session_manager(propagation="requires_new") as session:
        session.add(kit.Item(name=name))


def notes_of(error: BaseException) -> list[str]:
    """Its notes; Python 3.10 stores them without showing them."""
    notes: list[str] = getattr(error, "__notes__", [])
    return notes


def observe(kit: Kit, statement: str) -> None:
    """Execute *statement* on another connection, which commits at once."""
    assert kit.database.observer is not None
    with kit.database.observer.connect() as connection:
        connection.exec_driver_sql(statement)


# --- read_only -----------------------------------------------------------------------------------------------------


def flush_a_row(kit: Kit, session: Session) -> None:
    session.add(kit.Item(name="no"))
    session.flush()


def insert_a_row(kit: Kit, session: Session) -> None:
    session.execute(insert(kit.Item).values(name="no"))


def insert_by_text(kit: Kit, session: Session) -> None:
    session.execute(text("INSERT INTO item (name) VALUES ('no')"))


def insert_on_the_connection(kit: Kit, session: Session) -> None:
    session.connection().exec_driver_sql("INSERT INTO item (name) VALUES ('no')")


def flush_at_commit(kit: Kit, session: Session) -> None:
    session.add(kit.Item(name="no"))


WRITES: Final = (
    flush_a_row,
    insert_a_row,
    insert_by_text,
    insert_on_the_connection,
    flush_at_commit,
)


@pytest.mark.parametrize("send", WRITES)
def test_the_database_refuses_writes(kit: Kit, send: Callable[[Kit, Session], None]) -> None:
    """A stock session has no read-only mode; the message names the scope that asked for it."""
    wanted = r"inside the read-only transaction that 'report' owns \(.*test_scope_options\.py:\d+\)"
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError, match=wanted):
        with session_manager(read_only=True, name="report") as session:
            send(kit, session)
    assert kit.names() == []


@pytest.mark.parametrize("caught", [errors.ReadOnlyError, DBAPIError, SQLAlchemyError])
def test_both_names_of_the_error_catch_it(kit: Kit, caught: type[Exception]) -> None:
    """Code that catches SQLAlchemy's own class goes on working, and finds the driver's error."""
    with kit.app.app_context(), pytest.raises(caught) as error:
        with session_manager(read_only=True) as session:
            flush_a_row(kit, session)
    assert isinstance(error.value, errors.ReadOnlyError)
    assert isinstance(error.value, DBAPIError)
    assert error.value.orig is not None
    assert classify(error.value).category == "read_only"


def test_a_read_only_scope_reads(kit: Kit) -> None:
    """Reading is what it is for."""
    write(kit, "there")
    with kit.app.app_context(), session_manager(read_only=True) as session:
        assert session.scalars(select(kit.Item.name)).all() == ["there"]


@pytest.mark.parametrize("fails", [False, True], ids=["commit", "rollback"])
def test_the_connection_writes_again_after_a_read_only_scope(one: Kit, fails: bool) -> None:
    """The mode ends with the scope, whatever its end is; the pool has one connection only."""
    with one.app.app_context():
        try:
            with session_manager(read_only=True) as session:
                session.execute(select(1))
                if fails:
                    insert_a_row(one, session)
        except errors.ReadOnlyError:
            assert fails
        with session_manager() as session:
            session.add(one.Item(name="after"))
    assert one.names() == ["after"]


def test_joined_and_nested_scopes_are_read_only_as_well(kit: Kit) -> None:
    """The message names the owner, who asked for it, and not the scope that wrote."""
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError, match="that 'report' owns"):
        with session_manager(read_only=True, name="report"), session_manager() as session:
            with session_manager(propagation="nested"):
                insert_a_row(kit, session)


def test_a_read_only_scope_may_be_joined_by_a_reader(kit: Kit) -> None:
    """What is asked for is there already; and whoever joins a writer may not ask for less."""
    with kit.app.app_context(), session_manager(read_only=True) as session:
        for propagation in ("required", "nested", "mandatory", "supports"):
            with session_manager(propagation=propagation, read_only=True) as inner:
                assert inner is session


@pytest.mark.parametrize("propagation", ["required", "nested", "mandatory", "supports"])
def test_a_reader_cannot_join_a_writer(kit: Kit, propagation: str) -> None:
    """The transaction cannot change on the way: the message says where to ask instead."""
    wanted = r"asked for 'read_only=True' inside the transaction that 'writer' owns .*requires_new"
    reader = session_manager(read_only=True, propagation=propagation)
    with kit.app.app_context(), session_manager(name="writer"):
        with pytest.raises(errors.IsolationMismatchError, match=wanted), reader:
            pass


def test_other_errors_keep_their_class_in_a_read_only_scope(kit: Kit) -> None:
    """Only the refusal of a write becomes a ReadOnlyError."""
    with kit.app.app_context(), pytest.raises(DBAPIError) as caught:
        with session_manager(read_only=True) as session:
            session.execute(text("SELECT nonsense"))
    assert not isinstance(caught.value, errors.ReadOnlyError)


def test_every_bind_of_a_read_only_scope_refuses(make_kit: MakeKit, database: Database) -> None:
    """A second database that joins later is read-only as well."""
    kit = make_kit(database, binds=True)
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError):
        with session_manager(read_only=True) as session:
            session.scalars(select(kit.Item)).all()
            session.execute(insert(kit.Other).values(name="no"))
    assert kit.other_names() == []


def test_read_only_and_a_level_together(kit: Kit) -> None:
    """Both are asked for in one statement, and both hold."""
    with kit.app.app_context(), pytest.raises(errors.ReadOnlyError):
        with session_manager(read_only=True, isolation_level="SERIALIZABLE") as session:
            assert session.scalar(select(1)) == 1
            insert_a_row(kit, session)


# --- isolation_level -----------------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.parametrize("level", LEVELS)
def test_the_level_that_postgresql_tells(make_kit: MakeKit, level: str) -> None:
    """PostgreSQL knows which level is in force, and afterwards its default is back."""
    kit = make_kit("postgresql-psycopg", engine_options=ONE)
    told = text("SHOW transaction_isolation")
    with kit.app.app_context():
        with session_manager(isolation_level=level) as session:
            assert session.scalar(told) == level.lower()
        with session_manager() as session:
            assert session.scalar(told) == "read committed"


@pytest.mark.parametrize("spelling", ["repeatable read", "REPEATABLE_READ", "Repeatable_Read"])
@pytest.mark.postgresql
def test_a_level_may_be_spelled_as_in_other_programs(make_kit: MakeKit, spelling: str) -> None:
    """Case and underscores do not matter, and a joining scope may spell it in its own way."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), session_manager(isolation_level=spelling) as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        with session_manager(isolation_level="REPEATABLE READ") as inner:
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
def test_the_level_that_mariadb_keeps(
    make_kit: MakeKit, level: str | None, expected: list[str]
) -> None:
    """It does not tell the level of a transaction: what is seen of two other transactions does."""
    kit = make_kit("mariadb-pymysql")
    with kit.app.app_context(), session_manager(isolation_level=level) as session:
        assert session.scalars(select(kit.Item.name)).all() == []
        write(kit, "stored")
        with session_manager(propagation="requires_new") as other:
            other.add(kit.Item(name="pending"))
            other.flush()
            seen = session.scalars(select(kit.Item.name).order_by(kit.Item.name)).all()
    assert seen == expected


@pytest.mark.mariadb
@pytest.mark.parametrize(("level", "locked"), [("SERIALIZABLE", True), (None, False)])
def test_serializable_reads_of_mariadb_lock(
    make_kit: MakeKit, level: str | None, locked: bool
) -> None:
    """There a plain SELECT takes a shared lock, which another transaction cannot pass."""
    kit = make_kit("mariadb-pymysql")
    write(kit, "row")
    with kit.app.app_context(), session_manager(isolation_level=level) as session:
        session.scalars(select(kit.Item)).all()
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
def test_the_level_that_sqlite_keeps(
    sqlite_kit: Kit, level: str | None, expected: list[str]
) -> None:
    """Stock pysqlite begins before a write only, so two reads differ; a snapshot is asked for."""
    observe(sqlite_kit, "PRAGMA journal_mode=WAL")
    with sqlite_kit.app.app_context(), session_manager(isolation_level=level) as session:
        assert session.scalars(select(sqlite_kit.Item.name)).all() == []
        observe(sqlite_kit, "INSERT INTO item (name) VALUES ('stored')")
        assert session.scalars(select(sqlite_kit.Item.name)).all() == expected


def test_read_uncommitted_is_undone_on_sqlite(make_kit: MakeKit) -> None:
    """The pragma belongs to the connection: the next transaction must not inherit it."""
    kit = make_kit(engine_options=ONE)
    told = text("PRAGMA read_uncommitted")
    with kit.app.app_context():
        with session_manager(isolation_level="READ UNCOMMITTED") as session:
            assert session.scalar(told) == 1
        with session_manager() as session:
            assert session.scalar(told) == 0


def test_a_snapshot_of_a_driver_that_begins_by_itself(make_kit: MakeKit) -> None:
    """A program may send BEGIN at each begin event, as SQLAlchemy's recipe does: it is sent once."""
    kit = make_kit()
    event.listen(kit.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with kit.app.app_context(), session_manager(isolation_level="SERIALIZABLE") as session:
        session.add(kit.Item(name="row"))
    assert kit.names() == ["row"]


@pytest.mark.parametrize("outer", [None, "READ COMMITTED"])
@pytest.mark.parametrize("propagation", ["required", "nested", "mandatory", "supports"])
def test_a_joining_scope_cannot_change_the_level(
    kit: Kit, outer: str | None, propagation: str
) -> None:
    """Django and Spring ignore it in silence; here the message says what is open and asked for."""
    has = outer or "the database's default"
    wanted = rf"""asked for 'isolation_level="SERIALIZABLE"' .* 'outer' owns .*, which is {has}"""
    inner = session_manager(propagation=propagation, isolation_level="SERIALIZABLE")
    with kit.app.app_context(), session_manager(isolation_level=outer, name="outer"):
        with pytest.raises(errors.IsolationMismatchError, match=wanted), inner:
            pass


def test_a_new_transaction_has_its_own_level(kit: Kit) -> None:
    """Only a scope that joins has to be content with what is there."""
    with kit.app.app_context(), session_manager(isolation_level="READ COMMITTED") as outer:
        outer.execute(select(1))
        with session_manager(propagation="requires_new", isolation_level="SERIALIZABLE") as inner:
            assert inner.scalar(select(1)) == 1


def test_the_same_level_may_join(kit: Kit) -> None:
    """What is asked for is there already."""
    asked: dict[str, Any] = {"isolation_level": "SERIALIZABLE"}
    with kit.app.app_context(), session_manager(**asked) as session:
        with session_manager(**asked), session_manager(**asked, propagation="nested") as inner:
            assert inner is session


# --- timeout -------------------------------------------------------------------------------------------------------


@contextmanager
def a_writer(kit: Kit) -> Iterator[None]:
    """Somebody holds the write lock of a SQLite file."""
    path = str(kit.engine.url.database)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.postgresql
def test_postgresql_cancels_a_statement(make_kit: MakeKit) -> None:
    """Stock sessions wait for as long as the server likes."""
    kit = make_kit("postgresql-psycopg")
    begun = time.monotonic()
    with kit.app.app_context(), pytest.raises(OperationalError, match="statement timeout"):
        with session_manager(timeout=0.1) as session:
            session.execute(text("SELECT pg_sleep(30)"))
    assert time.monotonic() - begun < 5


@pytest.mark.mariadb
def test_mariadb_cancels_a_statement(make_kit: MakeKit) -> None:
    """Stock sessions wait for as long as the server likes."""
    kit = make_kit("mariadb-pymysql")
    begun = time.monotonic()
    with kit.app.app_context(), pytest.raises(DBAPIError, match="max_statement_time") as caught:
        with session_manager(timeout=0.1) as session:
            session.execute(text("SELECT SLEEP(30)"))
    assert time.monotonic() - begun < 5
    assert classify(caught.value).category == "statement_timeout"


def test_sqlite_stops_waiting_for_a_lock(make_kit: MakeKit) -> None:
    """The engine would wait a minute for the other writer."""
    kit = make_kit(engine_options={"connect_args": {"timeout": 60}})
    begun = time.monotonic()
    with a_writer(kit), kit.app.app_context():
        with (
            pytest.raises(OperationalError, match="locked"),
            session_manager(timeout=0.05) as session,
        ):
            insert_a_row(kit, session)
    assert time.monotonic() - begun < 5


def test_the_timeout_is_in_force_and_reset_after_a_commit(one: Kit) -> None:
    """The same connection is used again, and has the limit that it had before."""
    with one.app.app_context(), session_manager(timeout=2) as session:
        assert in_force(one, session) == seconds(one, 2)
    assert timeout_of_the_next_transaction(one) == found(one)


def test_the_timeout_is_reset_after_a_rollback(one: Kit) -> None:
    """A failed statement leaves nothing behind either."""
    with one.app.app_context(), pytest.raises(SQLAlchemyError):
        with session_manager(timeout=2) as session:
            session.execute(text("SELECT nonsense"))
    assert timeout_of_the_next_transaction(one) == found(one)


def test_the_timeout_is_reset_after_a_failed_flush(one: Kit) -> None:
    """SQLAlchemy has rolled back by itself before the scope ends."""
    with one.app.app_context(), pytest.raises(IntegrityError):
        with session_manager(timeout=2) as session:
            session.add_all([one.Item(name="same"), one.Item(name="same")])
    assert timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.parametrize("propagation", ["required", "nested"])
@pytest.mark.parametrize("outer", [None, 5])
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_an_inner_timeout_ends_with_the_inner_scope(
    one: Kit, propagation: str, outer: float | None, used: bool
) -> None:
    """Inside it is in force; after it the outer one is, or what was there before."""
    before = found(one) if outer is None else seconds(one, outer)
    with one.app.app_context(), session_manager(timeout=outer) as session:
        if used:
            assert in_force(one, session) == before
        with session_manager(timeout=2, propagation=propagation):
            assert in_force(one, session) == seconds(one, 2)
        assert in_force(one, session) == before
    assert timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.parametrize("outer", [None, 5])
def test_an_inner_timeout_ends_with_a_savepoint_that_fails(one: Kit, outer: float | None) -> None:
    """The outer scope goes on with its own limit."""
    with one.app.app_context(), session_manager(timeout=outer) as session:
        before = in_force(one, session)
        with pytest.raises(SQLAlchemyError):
            with session_manager(timeout=2, propagation="nested"):
                session.execute(text("SELECT nonsense"))
        assert in_force(one, session) == before
    assert timeout_of_the_next_transaction(one) == found(one)


def test_an_inner_timeout_ends_with_a_savepoint_that_is_poisoned(one: Kit) -> None:
    """A savepoint that raises when its block ended well gives the limit back too."""
    with one.app.app_context(), session_manager() as session:
        with pytest.raises(errors.UnexpectedRollbackError):
            with session_manager(timeout=2, propagation="nested"):
                session.execute(select(1))
                with pytest.raises(ZeroDivisionError), session_manager():
                    raise ZeroDivisionError
        assert in_force(one, session) == found(one)


def test_an_inner_timeout_ends_with_a_join_that_fails(one: Kit) -> None:
    """The transaction can only be rolled back; its connection goes back without the limit."""
    with one.app.app_context(), pytest.raises(IntegrityError):
        with session_manager(), session_manager(timeout=2) as session:
            session.add_all([one.Item(name="same"), one.Item(name="same")])
            session.flush()
    assert timeout_of_the_next_transaction(one) == found(one)


@pytest.mark.postgresql
def test_a_limit_that_cannot_be_set_back_is_a_note(make_kit: MakeKit) -> None:
    """The connection is gone: the first error is what counts."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), pytest.raises(KeyError, match="first") as caught:
        with session_manager(), session_manager(timeout=2) as session:
            _close_underneath(session)
            raise KeyError("first")
    assert any("could not be set back" in note for note in notes_of(caught.value))


@pytest.mark.postgresql
def test_a_limit_that_cannot_be_set_back_is_an_error(make_kit: MakeKit) -> None:
    """The block ended well: then the lost connection is the error."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), pytest.raises(OperationalError, match="closed"):
        with session_manager(), session_manager(timeout=2) as session:
            _close_underneath(session)
    assert kit.checkedout() == 0


@pytest.mark.postgresql
def test_a_failure_swallowed_inside_an_inner_timeout(make_kit: MakeKit) -> None:
    """PostgreSQL takes no statement after a failed one, and none is sent to set the limit back."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), pytest.raises(errors.UnexpectedRollbackError, match="nonsense"):
        with session_manager() as session, session_manager(timeout=2):
            with pytest.raises(SQLAlchemyError):
                session.execute(text("SELECT nonsense"))
    assert kit.checkedout() == 0


@pytest.mark.postgresql
def test_a_savepoint_whose_timeout_cannot_be_set_is_undone(make_kit: MakeKit) -> None:
    """The block does not run, no savepoint stays open, and the owner learns what PostgreSQL thinks of it."""
    kit = make_kit("postgresql-psycopg")
    with (
        kit.app.app_context(),
        pytest.raises(errors.UnexpectedRollbackError),
        session_manager() as session,
    ):
        session.execute(text("SELECT 1"))
        with pytest.raises(SQLAlchemyError, match=r"integer range|valid range"):
            session_manager(timeout=1e10, propagation="nested").__enter__()
        assert session.get_nested_transaction() is None


def test_the_timeout_holds_for_a_bind_that_joins_later(
    make_kit: MakeKit, database: Database
) -> None:
    """Each connection of the scope is asked, and each is reset."""
    kit = make_kit(database, binds=True, engine_options=ONE)
    told = text(READ_TIMEOUT[database.dialect])
    with kit.app.app_context():
        with session_manager() as session, session_manager(timeout=2):
            second = {"bind_arguments": {"mapper": kit.Other.__mapper__}}
            assert str(session.scalar(told, **second)) == seconds(kit, 2)
        with session_manager() as session:
            assert str(session.scalar(told, **second)) == found(kit)


def test_a_session_that_was_begun_gets_the_timeout(one: Kit) -> None:
    """A timeout can come late: the connection in use is asked as well."""
    with one.app.app_context(), session_manager(propagation="supports") as session:
        session.execute(select(1))
        with session_manager(timeout=2):
            assert in_force(one, session) == seconds(one, 2)
    assert timeout_of_the_next_transaction(one) == found(one)


def test_a_timeout_below_a_millisecond_is_no_lack_of_one(one: Kit) -> None:
    """Rounded to 0 it would mean "for ever" to the databases."""
    with one.app.app_context(), session_manager(timeout=0.0001) as session:
        assert one.database.dialect == "mariadb" or in_force(one, session) == seconds(one, 0.001)


def test_all_three_together_leave_nothing_behind(one: Kit) -> None:
    """The next transaction on the same connection writes, waits and reads as ever."""
    asked: dict[str, Any] = {"read_only": True, "isolation_level": "SERIALIZABLE", "timeout": 2}
    with one.app.app_context():
        with session_manager(**asked) as session:
            assert in_force(one, session) == seconds(one, 2)
        with session_manager() as session:
            session.add(one.Item(name="row"))
            assert in_force(one, session) == found(one)
    assert one.names() == ["row"]


@pytest.mark.mariadb
def test_mysql_has_a_variable_of_its_own(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL counts milliseconds under another name; SQLAlchemy tells the two servers apart."""
    kit = make_kit("mariadb-pymysql")
    with kit.app.app_context(), session_manager() as session:
        connection = session.connection()
        monkeypatch.setattr(connection.dialect, "is_mariadb", False)
        language = demands._language(connection)
    wanted = "SET SESSION max_execution_time = 1500"
    assert language.timeout(language.seconds(1.5)) == wanted


def test_an_unknown_database_is_asked_for_nothing(
    make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain scope works on any database; what we cannot ask for is refused, not ignored."""
    kit = make_kit()
    monkeypatch.setattr(kit.engine.dialect, "name", "oracle")
    with kit.app.app_context():
        with session_manager() as session:
            assert session.scalar(select(1)) == 1
        with pytest.raises(NotImplementedError, match="are not known for 'oracle'"):
            with session_manager(timeout=2) as session:
                session.execute(select(1))


def test_a_connection_that_was_lost_is_not_asked(one: Kit) -> None:
    """An inner timeout ends without touching a connection that is invalid."""
    with one.app.app_context(), pytest.raises(SQLAlchemyError, match="invalid"):
        with session_manager() as session:
            with session_manager(timeout=2):
                session.connection().invalidate()
            session.execute(select(1))
    assert timeout_of_the_next_transaction(one) == found(one)


def test_a_connection_that_cannot_be_mended_leaves_the_pool(make_kit: MakeKit) -> None:
    """What was asked for cannot be undone on a connection that somebody has closed."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), pytest.raises(ZeroDivisionError):
        with session_manager(read_only=True) as session:
            raw: Any = session.connection().connection.dbapi_connection
            raw.close()
            raise ZeroDivisionError
    assert kit.checkedout() == 0
    write(kit, "row")
    assert kit.names() == ["row"]


def test_an_invalidated_connection_needs_no_mending(make_kit: MakeKit) -> None:
    """A lost connection is not used again, so nothing has to be undone on it."""
    kit = make_kit(engine_options=ONE)
    with kit.app.app_context(), pytest.raises(ZeroDivisionError):
        with session_manager(read_only=True, timeout=2) as session:
            session.connection().invalidate()
            raise ZeroDivisionError
    assert timeout_of_the_next_transaction(kit) == found(kit)


# --- bad arguments -------------------------------------------------------------------------------------------------


def given(**arguments: Any) -> Any:
    """The scope that somebody's wrong arguments ask for."""
    return session_manager(**arguments)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (
            "require_new",
            r"'require_new' is not a propagation\. Did you mean 'requires_new'\? Give one of",
        ),
        ("zzz", r"'zzz' is not a propagation\. Give one of 'required', 'requires_new'"),
        (None, r"None is not a propagation"),
        (3, r"3 is not a propagation"),
    ],
)
def test_an_unknown_propagation(value: Any, wanted: str) -> None:
    """The message quotes it and names the nearest one, before anything is opened."""
    with pytest.raises(ValueError, match=wanted):
        given(propagation=value)


@pytest.mark.parametrize("value", [0, -1, -0.5, math.nan, math.inf])
def test_a_timeout_that_is_no_time(value: float) -> None:
    """0 would mean "for ever" on the databases; None is how to say that."""
    with pytest.raises(ValueError, match=r"'timeout' is .* positive, finite number of seconds"):
        given(timeout=value)


@pytest.mark.parametrize("value", [True, False, "5", b"5"])
def test_a_timeout_that_is_no_number(value: Any) -> None:
    """True would be one second."""
    with pytest.raises(TypeError, match=r"'timeout' is .* Give a number of seconds"):
        given(timeout=value)


@pytest.mark.parametrize("value", ["SNAPSHOT", "", "SERIALIZABLE; DROP TABLE item", 3])
def test_an_unknown_isolation_level(value: Any) -> None:
    """Nothing but the four levels of the standard reaches the database."""
    with pytest.raises(ValueError, match=r"'isolation_level' is .* Give one of 'READ UNCOMMITTED'"):
        given(isolation_level=value)


def test_autocommit_is_no_isolation_level() -> None:
    """SQLAlchemy takes it for one; a scope would own nothing then."""
    with pytest.raises(ValueError, match="AUTOCOMMIT would leave the scope nothing to own"):
        given(isolation_level="autocommit")


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_read_only_is_true_or_false(value: Any) -> None:
    """A truthy string is more likely a slip than a wish."""
    with pytest.raises(TypeError, match=r"'read_only' is .* Give True or False"):
        given(read_only=value)


def test_a_name_is_a_string() -> None:
    """It stands in messages."""
    with pytest.raises(TypeError, match=r"'name' is 3\. Give a string"):
        given(name=3)


@pytest.mark.parametrize("member", Propagation)
def test_members_and_strings_mean_the_same(any_kit: Kit, member: Propagation) -> None:
    """The enum is for editors, the strings for people."""
    with any_kit.app.app_context(), session_manager():
        seen = [_kind_of(each) for each in (member, member.value)]
    assert seen[0] == seen[1]


def _kind_of(propagation: Propagation | str) -> str:
    try:
        with session_manager(propagation=propagation):
            scope = current_scope()
            return "none" if scope is None else type(scope).__name__
    except errors.TransactionActiveError as error:
        return type(error).__name__


def _close_underneath(session: Session) -> None:
    raw = session.connection().connection.dbapi_connection
    assert raw is not None
    raw.close()
