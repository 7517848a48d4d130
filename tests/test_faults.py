"""What a database's error means: each one really provoked, through each driver."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, QueuePool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from flask_safesession import Fault, classify, session_manager
from flask_safesession.errors import (
    CommitOutcomeUnknownError,
    SafeSessionError,
    UnexpectedRollbackError,
)

from .databases import Database
from .kit import Kit, MakeKit

Send = Callable[[Connection], Any]


def sql(*statements: str) -> Send:
    """What sends *statements*, the last of which fails."""

    def send(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return send


def transient(category: str, code: str | None = None) -> Fault:
    """A fault that a new try may overcome."""
    return Fault(category, code, transient=True, retry_safe=True, http_status=503)


def fault_of(connection: Connection, send: Send) -> Fault:
    """Classify what *send* raises, as SQLAlchemy's error and as the driver's own."""
    with pytest.raises(SQLAlchemyError) as caught:
        send(connection)
    connection.rollback()
    return classify(caught.value)


@pytest.fixture
def every_kit(make_kit: MakeKit, every_database: Database) -> Kit:
    """A kit on each database through each driver."""
    return make_kit(every_database)


ITEM = "INSERT INTO item (name, amount) VALUES ('one', 0)"
PARENT = "INSERT INTO parent (id, name) VALUES (901, 'one')"
CHILD = "INSERT INTO child (id, name, parent_id) VALUES (901, 'one', 901)"
CHECKED = "CREATE TEMPORARY TABLE checked (amount INT, CONSTRAINT positive CHECK (amount > 0))"

COMMON: dict[str, tuple[Send, str, int]] = {
    "unique": (sql(ITEM, ITEM), "unique", 409),
    "primary key": (sql(PARENT, PARENT), "unique", 409),
    "missing parent": (sql(CHILD), "foreign_key", 422),
    "parent is referred to": (sql(PARENT, CHILD, "DELETE FROM parent"), "foreign_key", 409),
    "parent's key changes": (
        sql(PARENT, CHILD, "UPDATE parent SET id = 902"),
        "foreign_key",
        409,
    ),
    "not null": (sql("INSERT INTO item (name, amount) VALUES (NULL, 0)"), "not_null", 422),
    "check": (sql(CHECKED, "INSERT INTO checked VALUES (0)"), "check", 422),
    "syntax": (sql("SELEC 1"), "programming", 500),
    "no table": (sql("SELECT * FROM nowhere"), "programming", 500),
    "no column": (sql("SELECT nothing FROM item"), "programming", 500),
}


@pytest.mark.parametrize(("send", "category", "status"), COMMON.values(), ids=COMMON)
def test_a_fault_of_every_database(every_kit: Kit, send: Send, category: str, status: int) -> None:
    """The same categories and statuses everywhere, read from each driver's own code."""
    with every_kit.engine.connect() as connection:
        fault = fault_of(connection, send)
    assert (fault.category, fault.http_status) == (category, status)
    assert (fault.transient, fault.retry_safe) == (False, False)
    assert fault.code is not None


def test_a_child_that_is_given_a_missing_parent(every_kit: Kit) -> None:
    """422 as for the insert; SQLite does not tell which side of the key is at fault."""
    with every_kit.engine.connect() as connection:
        fault = fault_of(connection, sql(PARENT, CHILD, "UPDATE child SET parent_id = 999"))
    sqlite = every_kit.database.dialect == "sqlite"
    assert (fault.category, fault.http_status) == ("foreign_key", 409 if sqlite else 422)


PSYCOPG = ("postgresql-psycopg", "postgresql-psycopg2")
MARIADB = ("mariadb-pymysql", "mariadb-mysqlclient")


@pytest.fixture(params=PSYCOPG)
def postgresql(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on PostgreSQL through each driver."""
    return make_kit(request.param)


@pytest.fixture(params=MARIADB)
def mariadb(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on MariaDB through each driver."""
    return make_kit(request.param)


RANGES = "CREATE TEMPORARY TABLE ranges (r int4range, EXCLUDE USING gist (r WITH &&))"
RANGE = "INSERT INTO ranges VALUES ('[1,3)')"

POSTGRESQL: dict[str, tuple[Send, Fault]] = {
    "unique": (
        sql(ITEM, ITEM),
        Fault("unique", "23505", http_status=409, constraint="item_name_key", table="item"),
    ),
    "foreign key": (
        sql(CHILD),
        Fault(
            "foreign_key",
            "23503",
            http_status=422,
            constraint="child_parent_id_fkey",
            table="child",
        ),
    ),
    "exclusion": (
        sql(RANGES, RANGE, RANGE),
        Fault("exclusion", "23P01", http_status=409, constraint="ranges_r_excl", table="ranges"),
    ),
    "check": (
        sql(CHECKED, "INSERT INTO checked VALUES (0)"),
        Fault("check", "23514", http_status=422, constraint="positive", table="checked"),
    ),
    "too long": (
        sql("INSERT INTO item (name, amount) VALUES (repeat('x', 51), 0)"),
        Fault("data", "22001", http_status=422),
    ),
    "out of range": (
        sql("INSERT INTO item (name, amount) VALUES ('x', 99999999999)"),
        Fault("data", "22003", http_status=422),
    ),
    "division by zero": (sql("SELECT 1 / 0"), Fault("data", "22012", http_status=422)),
    "statement timeout": (
        sql("SET LOCAL statement_timeout = 10", "SELECT pg_sleep(10)"),
        Fault("cancelled", "57014", retry_safe=True),
    ),
    "read only": (
        sql("SET TRANSACTION READ ONLY", ITEM),
        transient("read_only", "25006"),
    ),
    "no permission": (
        sql("SET LOCAL ROLE pg_read_all_stats", ITEM),
        Fault("permission", "42501"),
    ),
    "no such function": (sql("SELECT nothing()"), Fault("programming", "42883")),
    "raised by a function": (
        sql("DO $$BEGIN RAISE EXCEPTION 'x'; END$$"),
        Fault("unknown", "P0001"),
    ),
}


@pytest.mark.parametrize(("send", "fault"), POSTGRESQL.values(), ids=POSTGRESQL)
def test_a_fault_of_postgresql(postgresql: Kit, send: Send, fault: Fault) -> None:
    """Its SQLSTATE, and the name of the constraint where there is one."""
    with postgresql.engine.connect() as connection:
        assert fault_of(connection, send) == fault


def test_a_connection_that_postgresql_ends(postgresql: Kit) -> None:
    """57P01; psycopg2 does not pass that on."""
    with postgresql.engine.connect() as connection:
        fault = fault_of(connection, sql("SELECT pg_terminate_backend(pg_backend_pid())"))
    told = postgresql.database.driver == "psycopg"
    category, code = ("server_shutdown", "57P01") if told else ("connection_lost", None)
    assert fault == transient(category, code)


def test_a_transaction_that_is_aborted_says_so(postgresql: Kit) -> None:
    """The error before it is the cause, which only the program knows."""
    with postgresql.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.exec_driver_sql("SELECT 1 / 0")
        assert fault_of(connection, sql("SELECT 1")) == Fault("transaction_aborted", "25P02")


LOCK_BOTH = (
    "UPDATE item SET amount = 1 WHERE name = 'a'",
    "UPDATE item SET amount = 1 WHERE name = 'b'",
)


def _two_rows(kit: Kit) -> None:
    with kit.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO item (name, amount) VALUES ('a', 0), ('b', 0)")


def _deadlock(kit: Kit, waits: str, ready: str) -> BaseException:
    """Return the error of a deadlock between two connections, whichever is the victim.

    Args:
        kit: Where.
        waits: The query that counts the waiting connections.
        ready: What each connection sends first.
    """
    caught: list[BaseException] = []

    def lock(connection: Connection, statement: str) -> None:
        try:
            connection.exec_driver_sql(statement)
        except OperationalError as error:
            caught.append(error)

    with kit.engine.connect() as one, kit.engine.connect() as two:
        for connection, statement in zip((one, two), LOCK_BOTH, strict=True):
            connection.exec_driver_sql(ready)
            connection.exec_driver_sql(statement)
        waiting = threading.Thread(target=lock, args=(one, LOCK_BOTH[1]))
        waiting.start()
        _await(kit, waits)
        lock(two, LOCK_BOTH[0])
        two.rollback()
        waiting.join()
    (error,) = caught
    return error


def _await(kit: Kit, query: str) -> None:
    """Return when *query* counts something, seen from outside."""
    assert kit.database.observer is not None
    with kit.database.observer.connect() as observer:
        while not observer.scalar(text(query)):
            pass


PG_WAITS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
# The table innodb_trx would be served from a cache that is not renewed while it is asked often.
INNODB_WAITS = (
    "SELECT CAST(variable_value AS INT) FROM information_schema.global_status"
    " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'"
)


def test_a_deadlock_of_postgresql(postgresql: Kit) -> None:
    """One of the two is told."""
    _two_rows(postgresql)
    error = _deadlock(postgresql, PG_WAITS, "SET LOCAL deadlock_timeout = '200ms'")
    assert classify(error) == transient("deadlock", "40P01")


def test_a_deadlock_of_mariadb(mariadb: Kit) -> None:
    """One of the two is told."""
    _two_rows(mariadb)
    error = _deadlock(mariadb, INNODB_WAITS, "SELECT 1")
    assert classify(error) == transient("deadlock", "1213")


def test_a_lock_timeout_of_postgresql(postgresql: Kit) -> None:
    """55P03."""
    _two_rows(postgresql)
    with postgresql.engine.connect() as holder, postgresql.engine.connect() as other:
        holder.exec_driver_sql(LOCK_BOTH[0])
        fault = fault_of(other, sql("SET LOCAL lock_timeout = 10", LOCK_BOTH[0]))
    assert fault == transient("lock_timeout", "55P03")


def test_a_serialization_failure_of_postgresql(postgresql: Kit) -> None:
    """40001: somebody changed a row since the snapshot."""
    _two_rows(postgresql)
    with postgresql.engine.connect() as other:
        other.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.exec_driver_sql("SELECT * FROM item")
        with postgresql.engine.begin() as connection:
            connection.exec_driver_sql(LOCK_BOTH[0])
        fault = fault_of(other, sql(LOCK_BOTH[0]))
    assert fault == transient("serialization_failure", "40001")


MARIADB_FAULTS: dict[str, tuple[Send, Fault]] = {
    "unique": (sql(ITEM, ITEM), Fault("unique", "1062", http_status=409)),
    "missing parent": (sql(CHILD), Fault("foreign_key", "1452", http_status=422)),
    "too long": (
        sql("INSERT INTO item (name, amount) VALUES (repeat('x', 51), 0)"),
        Fault("data", "1406", http_status=422),
    ),
    "out of range": (
        sql("INSERT INTO item (name, amount) VALUES ('x', 99999999999)"),
        Fault("data", "1264", http_status=422),
    ),
    "no default": (
        sql("INSERT INTO item (amount) VALUES (0)"),
        Fault("not_null", "1364", http_status=422),
    ),
    "cancelled": (
        sql("KILL QUERY connection_id()"),
        Fault("cancelled", "1317", retry_safe=True),
    ),
    "statement timeout": (
        sql("SET STATEMENT max_statement_time = 0.01 FOR SELECT sleep(10)"),
        Fault("statement_timeout", "1969", retry_safe=True),
    ),
    "read only": (
        sql("SET TRANSACTION READ ONLY", ITEM),
        transient("read_only", "1792"),
    ),
    "signal": (
        sql("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001"),
        Fault("unknown", "30001"),
    ),
}


@pytest.mark.parametrize(("send", "fault"), MARIADB_FAULTS.values(), ids=MARIADB_FAULTS)
def test_a_fault_of_mariadb(mariadb: Kit, send: Send, fault: Fault) -> None:
    """Its error number."""
    with mariadb.engine.connect() as connection:
        assert fault_of(connection, send) == fault


def test_a_lock_timeout_of_mariadb(mariadb: Kit) -> None:
    """1205."""
    _two_rows(mariadb)
    with mariadb.engine.connect() as holder, mariadb.engine.connect() as other:
        holder.exec_driver_sql(LOCK_BOTH[0])
        fault = fault_of(other, sql("SELECT * FROM item WHERE name = 'a' FOR UPDATE NOWAIT"))
    assert fault == transient("lock_timeout", "1205")


def test_a_connection_that_mariadb_killed_is_lost(mariadb: Kit) -> None:
    """By its number, whichever it is: before or while the statement was sent."""
    with mariadb.engine.connect() as connection, mariadb.engine.connect() as other:
        process = connection.scalar(text("SELECT connection_id()"))
        other.exec_driver_sql(f"KILL {process}")
        fault = fault_of(connection, sql("SELECT 1"))
    assert (fault.category, fault.http_status) == ("connection_lost", 503)
    assert fault.code in {"2006", "2013", "1927", "4031"}


def test_a_connection_that_postgresql_lost_is_lost(postgresql: Kit) -> None:
    """The second statement after the end of the backend has no SQLSTATE any more."""
    with postgresql.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        with suppress(Exception), closing(raw.cursor()) as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        fault = fault_of(connection, sql("SELECT 1"))
    assert fault == transient("connection_lost", None)


REFUSED = {
    "postgresql+psycopg": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
    "postgresql+psycopg2": "postgresql+psycopg2://nobody@127.0.0.1:1/nothing",
    "mysql+pymysql": "mysql+pymysql://nobody@127.0.0.1:1/nothing",
    "sqlite": "sqlite:////nowhere/at/all.sqlite",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_a_connection_that_is_refused(url: str) -> None:
    """Nobody listens, or there is no such folder."""
    with pytest.raises(OperationalError) as caught:
        create_engine(url).connect()
    fault = classify(caught.value)
    assert (fault.category, fault.transient, fault.http_status) == ("connection_refused", True, 503)


@pytest.mark.parametrize("url", list(REFUSED.values())[:3], ids=list(REFUSED)[:3])
def test_the_drivers_own_error_of_a_refused_connection(url: str) -> None:
    """Without SQLAlchemy around it; its own functions tell that it was connecting."""
    with pytest.raises(OperationalError) as caught:
        create_engine(url).connect()
    own = caught.value.orig
    assert own is not None
    assert classify(own).category == "connection_refused"


def test_a_wrong_password_of_mariadb(mariadb: Kit) -> None:
    """It is no outage: a new try would fail as well."""
    url = make_url(mariadb.database.url).set(username="nobody", password="wrong")
    with pytest.raises(OperationalError) as caught:
        create_engine(url).connect()
    fault = classify(caught.value)
    assert (fault.category, fault.transient, fault.http_status) == ("permission", False, 500)


SQLITE: dict[str, tuple[Send, Fault]] = {
    "unique": (sql(ITEM, ITEM), Fault("unique", "SQLITE_CONSTRAINT_UNIQUE", http_status=409)),
    "mismatch": (
        sql("INSERT INTO item (id, name, amount) VALUES ('x', 'x', 0)"),
        Fault("data", "SQLITE_MISMATCH", http_status=422),
    ),
    "read only": (
        sql("PRAGMA query_only = 1", ITEM),
        transient("read_only", "SQLITE_READONLY"),
    ),
    "full": (
        sql("PRAGMA max_page_count = 1", "CREATE TABLE big AS SELECT zeroblob(100000)"),
        Fault("disk_full", "SQLITE_FULL"),
    ),
    "syntax": (sql("SELEC 1"), Fault("programming", "SQLITE_ERROR")),
}


@pytest.mark.parametrize(("send", "fault"), SQLITE.values(), ids=SQLITE)
def test_a_fault_of_sqlite(sqlite_kit: Kit, send: Send, fault: Fault) -> None:
    """The name of its extended code."""
    with sqlite_kit.engine.connect() as connection:
        assert fault_of(connection, send) == fault
        connection.invalidate()


def test_a_locked_file_of_sqlite(sqlite_kit: Kit) -> None:
    """Another connection writes."""
    with sqlite_kit.engine.connect() as holder, sqlite_kit.engine.connect() as other:
        holder.exec_driver_sql(ITEM)
        fault = fault_of(other, sql("PRAGMA busy_timeout = 0", ITEM))
        other.invalidate()
    assert fault == transient("lock_timeout", "SQLITE_BUSY")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10's sqlite3 gives no codes")
def test_a_snapshot_of_sqlite_that_is_too_old_to_write(sqlite_kit: Kit) -> None:
    """In WAL a reader may not write over what others have written since."""
    with sqlite_kit.engine.connect() as reader, sqlite_kit.engine.connect() as writer:
        writer.exec_driver_sql("PRAGMA journal_mode = WAL")
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT * FROM item").all()
        writer.exec_driver_sql(ITEM)
        writer.commit()
        fault = fault_of(reader, sql(ITEM))
    assert fault == transient("serialization_failure", "SQLITE_BUSY_SNAPSHOT")


def test_an_interrupted_statement_of_sqlite(sqlite_kit: Kit) -> None:
    """``interrupt()`` from another thread, or a progress handler."""
    with sqlite_kit.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.set_progress_handler(lambda: 1, 1)
        fault = fault_of(connection, sql("SELECT * FROM item, child, parent"))
        connection.invalidate()
    assert fault == Fault("cancelled", "SQLITE_INTERRUPT", retry_safe=True)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Corrupt: a person has to look."""
    path = tmp_path / "no.sqlite"
    path.write_text("This is a text file and by no means a database, whatever its name says." * 9)
    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(sqlite3.DatabaseError) as caught:
            connection.execute("SELECT * FROM item")
    assert classify(caught.value) == Fault("corrupt", "SQLITE_NOTADB")


@pytest.mark.parametrize(
    ("message", "category"),
    [
        ("UNIQUE constraint failed: item.name", "unique"),
        ("FOREIGN KEY constraint failed", "foreign_key"),
        ("NOT NULL constraint failed: item.name", "not_null"),
        ("CHECK constraint failed: positive", "check"),
        ("database is locked", "lock_timeout"),
        ("database table is locked: item", "lock_timeout"),
        ("attempt to write a readonly database", "read_only"),
        ("database or disk is full", "disk_full"),
        ("unable to open database file", "connection_refused"),
        ("interrupted", "cancelled"),
        ("datatype mismatch", "data"),
        ("file is not a database", "corrupt"),
        ("database disk image is malformed", "corrupt"),
        ('near "SELEC": syntax error', "programming"),
        ("no such table: nowhere", "programming"),
        ("no such column: nothing", "programming"),
        ("something else", "unknown"),
    ],
)
def test_sqlite_without_codes(message: str, category: str) -> None:
    """Python 3.10's sqlite3 gives none; an error made by hand has none on any version."""
    assert classify(sqlite3.OperationalError(message)).category == category


def test_the_drivers_own_error_means_the_same(every_kit: Kit) -> None:
    """Raw cursors raise it, without SQLAlchemy's around it."""
    with every_kit.engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        sql(ITEM, ITEM)(connection)
    own = caught.value.orig
    assert own is not None
    assert classify(own) == classify(caught.value)


def test_a_pool_that_is_exhausted(make_kit: MakeKit) -> None:
    """The database was not even asked."""
    options = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0}
    kit = make_kit(engine_options=options)
    with kit.engine.connect(), pytest.raises(PoolTimeoutError) as caught:
        kit.engine.connect()
    assert classify(caught.value) == transient("pool_timeout", None)


def test_a_row_that_was_changed_by_somebody_else(sqlite_kit: Kit) -> None:
    """The ORM's own error of a version that does not match."""
    with sqlite_kit.app.app_context():
        with session_manager() as session:
            session.add(sqlite_kit.Item(name="item"))
        with pytest.raises(StaleDataError) as caught, session_manager() as session:
            item = session.scalars(text("SELECT id FROM item")).one()
            loaded = session.get(sqlite_kit.Item, item)
            session.connection().exec_driver_sql("DELETE FROM item")
            assert loaded is not None
            loaded.name = "changed"
    assert classify(caught.value) == transient("stale_data", None)


def test_a_session_that_waits_for_its_rollback() -> None:
    """The error before it is the cause."""
    assert classify(PendingRollbackError("flush failed")) == Fault("transaction_aborted")


@pytest.mark.parametrize("error", [ValueError("1062"), KeyboardInterrupt(), SafeSessionError("x")])
def test_what_is_no_database_error_is_unknown(error: BaseException) -> None:
    """Whatever its message says."""
    assert classify(error) == Fault("unknown")


def test_an_unknown_error_that_broke_the_connection() -> None:
    """SQLAlchemy knows what the code does not tell."""

    class StrangeError(Exception):
        pass

    error = DBAPIError("SELECT 1", (), StrangeError(), connection_invalidated=True)
    assert classify(error) == transient("connection_lost", None)


def _raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def test_our_own_errors_mean_what_caused_them() -> None:
    """Along ``__cause__``, and ``__context__`` where there is none."""
    locked = sqlite3.OperationalError("database is locked")
    explicit = _raised(UnexpectedRollbackError("x"), _raised(SafeSessionError("y"), locked))
    try:
        try:
            raise locked
        except sqlite3.OperationalError:
            raise UnexpectedRollbackError("x")  # noqa: B904 - the implicit chain is tested
    except UnexpectedRollbackError as error:
        implicit = error
    assert classify(explicit).category == "lock_timeout"
    assert classify(implicit).category == "lock_timeout"


def test_errors_that_are_not_ours_are_not_followed() -> None:
    """A ``ValueError`` that was raised while a database error was handled is no database error."""
    locked = sqlite3.OperationalError("database is locked")
    assert classify(_raised(ValueError("x"), locked)) == Fault("unknown")


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Python allows it to be built."""
    one, two = SafeSessionError("one"), SafeSessionError("two")
    one.__cause__, two.__cause__ = two, one
    assert classify(one) == Fault("unknown")


def test_an_unknown_outcome_is_not_its_cause() -> None:
    """A lost connection may be tried again; a COMMIT that may have been stored may not."""
    error = _raised(CommitOutcomeUnknownError("x"), sqlite3.OperationalError("disk I/O error"))
    assert classify(error) == Fault("commit_unknown")


def test_a_fault_is_frozen() -> None:
    """It can be a key, and is equal to its like."""
    assert {Fault("unique"): 1}[Fault("unique")] == 1
    with pytest.raises(AttributeError):
        Fault("unique").category = "other"  # type: ignore[misc]


def test_the_method_of_the_extension_does_the_same(sqlite_kit: Kit) -> None:
    """For code that holds the extension."""
    error = sqlite3.OperationalError("database is locked")
    assert sqlite_kit.safe.classify(error) == classify(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10's sqlite3 gives no codes")
def test_a_trigger_that_raises(sqlite_kit: Kit) -> None:
    """Its meaning is the program's own; the code is told."""
    trigger = "CREATE TRIGGER no BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'no'); END"
    with sqlite_kit.engine.connect() as connection:
        fault = fault_of(connection, sql(trigger, ITEM))
    assert fault == Fault("unknown", "SQLITE_CONSTRAINT_TRIGGER")


def test_a_code_of_sqlite_that_is_not_listed_means_what_its_kind_means() -> None:
    """The longest part that is known counts."""
    error: Any = sqlite3.OperationalError("database is locked")
    error.sqlite_errorname = "SQLITE_BUSY_RECOVERY"
    assert classify(error) == transient("lock_timeout", "SQLITE_BUSY_RECOVERY")
