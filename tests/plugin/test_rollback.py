"""A test that is rolled back: the code in it commits, and sees what it committed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from flask_safesession import (
    AppContextManager,
    current_scope,
    errors,
    on_commit,
    session_manager,
    transactional,
)
from flask_safesession.testing import RollbackIsolation
from tests.databases import Database
from tests.kit import FLAVOURS, Flavour, Kit, MakeKit

LOCK = "waited 1 s for its turn"


@pytest.fixture
def kit(make_kit: MakeKit, every_database: Database) -> Iterator[Kit]:
    """An app on each database through each driver, of which nothing is stored when the isolation has ended."""
    kit = make_kit(every_database)
    with RollbackIsolation(kit.app, patience=1.0):
        yield kit
    assert kit.names() == []


def names(kit: Kit) -> list[str]:
    """What the code under test sees, in a context of its own."""
    with kit.app.app_context(), session_manager() as session:
        return sorted(session.scalars(select(kit.Item.name)))


def add(kit: Kit, name: str, **options: Any) -> None:
    with session_manager(**options) as session:
        session.add(kit.Item(name=name))


def test_what_was_committed_is_seen_and_not_stored(kit: Kit) -> None:
    """Two scopes and a hand-written commit are seen from the next context."""
    with kit.app.app_context():
        add(kit, "a")
        add(kit, "b")
        kit.session().add(kit.Item(name="c"))
        kit.session().commit()
    assert names(kit) == ["a", "b", "c"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_way_of_having_sessions(
    make_kit: MakeKit, database: Database, flavour: Flavour
) -> None:
    """Flask-SQLAlchemy, Lite, a sessionmaker and a scoped_session take part."""
    kit = make_kit(database, flavour)
    with RollbackIsolation(kit.app):
        with kit.app.app_context():
            add(kit, "a")
        assert names(kit) == ["a"]
    assert kit.names() == []


def test_a_failed_scope_leaves_the_others(kit: Kit) -> None:
    """What an exception rolls back is gone; what was committed before stays."""
    with kit.app.app_context():
        add(kit, "a")
        with pytest.raises(ZeroDivisionError), session_manager() as session:
            session.add(kit.Item(name="b"))
            session.flush()
            raise ZeroDivisionError
    assert names(kit) == ["a"]


def test_a_refused_commit(kit: Kit) -> None:
    """An error of the flush is the database's own, and the next scope works."""
    with kit.app.app_context():
        add(kit, "a")
        with pytest.raises(IntegrityError):
            add(kit, "a")
        add(kit, "b")
    assert names(kit) == ["a", "b"]


def test_savepoints_of_two_sessions(kit: Kit) -> None:
    """Savepoints of the same name, one in the other, are not mixed up."""
    with kit.app.app_context(), session_manager() as session:
        with session_manager(propagation="nested"):
            session.scalars(select(kit.Item)).all()
            with (
                pytest.raises(ZeroDivisionError),
                session_manager(propagation="requires_new") as own,
            ):
                with session_manager(propagation="nested"):
                    own.add(kit.Item(name="inner"))
                    own.flush()
                raise ZeroDivisionError
            session.add(kit.Item(name="outer"))
    assert names(kit) == ["outer"]


def test_requires_new_is_kept_with_its_caller(kit: Kit) -> None:
    """A transaction of its own inside another is a savepoint."""
    with kit.app.app_context(), session_manager():
        add(kit, "new", propagation="requires_new")
        assert names(kit) == ["new"]
    assert names(kit) == ["new"]


def test_requires_new_goes_with_a_caller_that_had_written(
    make_kit: MakeKit, database: Database
) -> None:
    """Here a test differs from production, and says so."""
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: production refuses this, and so does the test")
    kit = make_kit(database)
    with pytest.warns(errors.SafeSessionWarning, match="In production it is stored"):
        with RollbackIsolation(kit.app), kit.app.app_context():
            with pytest.raises(ZeroDivisionError), session_manager() as session:
                session.add(kit.Item(name="outer"))
                session.flush()
                add(kit, "log", propagation="requires_new")
                raise ZeroDivisionError
    assert kit.names() == []


def test_requires_new_stays_after_a_caller_that_only_read(kit: Kit) -> None:
    """A caller that has nothing to undo takes nothing along."""
    with kit.app.app_context():
        with pytest.raises(ZeroDivisionError), session_manager() as session:
            session.scalars(select(kit.Item)).all()
            add(kit, "log", propagation="requires_new")
            raise ZeroDivisionError
    assert names(kit) == ["log"]


def test_a_log_entry_while_the_transaction_is_aborted(
    make_kit: MakeKit, database: Database
) -> None:
    """PostgreSQL takes a new transaction beside one that failed, and refuses to commit the one that failed."""
    if database.dialect == "sqlite":
        pytest.skip("its statement errors abort nothing")
    kit = make_kit(database)
    with RollbackIsolation(kit.app), kit.app.app_context():
        with (
            pytest.raises((errors.UnexpectedRollbackError, ZeroDivisionError)),
            session_manager() as session,
        ):
            with pytest.raises(DBAPIError):
                session.execute(text("SELECT nothing FROM nowhere"))
            add(kit, "log", propagation="requires_new")
            if database.dialect == "mariadb":
                raise ZeroDivisionError
        assert names(kit) == ["log"]


def test_hooks_run_as_in_production(kit: Kit) -> None:
    """They wait for the outermost scope of the code under test, and no longer."""
    ran: list[str] = []
    with kit.app.app_context():
        with session_manager():
            with session_manager(propagation="nested"):
                on_commit(ran.append, "hook")
            ran.append("body")
        assert ran == ["body", "hook"]


def test_a_hook_of_a_commit_by_hand(kit: Kit) -> None:
    """``db.session.commit()`` runs them too."""
    ran: list[str] = []
    with kit.app.app_context():
        kit.session().add(kit.Item(name="a"))
        on_commit(ran.append, "hook")
        kit.session().commit()
        assert ran == ["hook"]


def test_requests_take_part(kit: Kit) -> None:
    """The test client's requests see what was committed before, and are seen."""

    @kit.app.post("/<name>")
    @transactional
    def view(name: str) -> tuple[list[str], int]:
        session = kit.session()
        session.add(kit.Item(name=name))
        session.flush()
        return sorted(session.scalars(select(kit.Item.name))), 409 if name == "no" else 201

    with kit.app.app_context():
        add(kit, "a")
    assert kit.client.post("/b").json == ["a", "b"]
    assert kit.client.post("/no").json == ["a", "b", "no"]
    assert names(kit) == ["a", "b"]


def test_jobs_take_part(kit: Kit) -> None:
    """Jobs on other threads take turns, while a transaction of the test waits for them."""

    def job(number: int) -> None:
        add(kit, f"job{number}")

    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="test"))
        session.flush()
        with AppContextManager(kit.app).executor(4) as executor:
            list(executor.map(job, range(8)))
    assert names(kit) == [*(f"job{number}" for number in range(8)), "test"]


def test_a_thread_waits_for_its_turn_only_so_long(kit: Kit) -> None:
    """Two open transactions that wait for each other end in a sentence, not in silence."""
    is_open, may_end = threading.Event(), threading.Event()

    def holds() -> None:
        with session_manager() as session:
            session.add(kit.Item(name="a"))
            session.flush()
            is_open.set()
            may_end.wait(10)

    def waits() -> None:
        is_open.wait(10)
        try:
            add(kit, "b")
        finally:
            may_end.set()

    with AppContextManager(kit.app).executor(2) as executor:
        executor.submit(holds)
        waiting = executor.submit(waits)
    with pytest.raises(errors.IsolationUnavailableError, match=LOCK):
        waiting.result(10)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_commit_below_another_transaction(kit: Kit, end: str) -> None:
    """A transaction that ends before one that began later keeps its rows, whatever the later one does."""
    insert = text("INSERT INTO item (name) VALUES (:name)")
    with kit.engine.connect() as first, kit.engine.connect() as second:
        first.execute(insert, {"name": "first"})
        second.execute(insert, {"name": "second"})
        first.commit()
        getattr(second, end)()
    assert names(kit) == (["first", "second"] if end == "commit" else ["first"])


def test_a_rollback_below_one_that_has_read(kit: Kit) -> None:
    """A transaction that has only read goes on after the one below it was rolled back."""
    insert = text("INSERT INTO item (name) VALUES (:name)")
    with kit.engine.connect() as first, kit.engine.connect() as second:
        first.execute(insert, {"name": "first"})
        second.execute(text("SELECT 1"))
        first.rollback()
        second.execute(insert, {"name": "second"})
        second.commit()
    assert names(kit) == ["second"]


def test_a_rollback_below_one_that_has_written(kit: Kit) -> None:
    """What cannot be told apart on one connection is refused."""
    insert = text("INSERT INTO item (name) VALUES (:name)")
    first, second = kit.engine.connect(), kit.engine.connect()
    first.execute(insert, {"name": "first"})
    second.execute(insert, {"name": "second"})
    with pytest.raises(errors.IsolationUnavailableError, match="while another one had written"):
        first.rollback()
    second.close()
    first.close()


def test_a_rollback_that_would_take_what_came_from_below(kit: Kit) -> None:
    """The same where the lower one has written in between."""
    insert = text("INSERT INTO item (name) VALUES (:name)")
    first, second = kit.engine.connect(), kit.engine.connect()
    second.execute(text("SELECT 1")), first.execute(text("SELECT 1"))
    second.execute(insert, {"name": "second"})
    with pytest.raises(errors.IsolationUnavailableError, match="while another one had written"):
        first.execute(insert, {"name": "first"})
        first.rollback()
    second.close()
    first.close()


def test_raw_connections_take_part(kit: Kit) -> None:
    """What the driver's own cursor writes is kept by ``commit()`` and undone by ``rollback()``."""
    connection = kit.engine.raw_connection()
    for name, end in (("a", connection.commit), ("b", connection.rollback)):
        cursor = connection.cursor()
        cursor.execute(f"INSERT INTO item (name) VALUES ('{name}')")
        cursor.close()
        end()
    connection.close()
    assert names(kit) == ["a"]


def test_connections_of_the_engine_take_part(kit: Kit) -> None:
    """``engine.begin()`` commits, and a connection that is closed rolls back."""
    insert = text("INSERT INTO item (name) VALUES (:name)")
    with kit.engine.begin() as connection:
        connection.execute(insert, [{"name": "a"}, {"name": "b"}])
    with kit.engine.connect() as connection:
        connection.execute(insert, {"name": "c"})
    assert names(kit) == ["a", "b"]


def test_what_autocommit_sends_stays(kit: Kit) -> None:
    """A connection in AUTOCOMMIT has nothing that a rollback could undo."""
    engine = kit.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO item (name) VALUES ('a')"))
    with kit.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("INSERT INTO item (name) VALUES ('b')"))
    assert names(kit) == ["a", "b"]


@pytest.mark.parametrize("word", ["COMMIT", "ROLLBACK"])
def test_transactions_in_words(kit: Kit, word: str) -> None:
    """BEGIN, COMMIT and ROLLBACK that are sent as statements end no more than they should."""
    with kit.app.app_context():
        add(kit, "a")
    with kit.engine.connect() as connection:
        for statement in ("BEGIN", "INSERT INTO item (name) VALUES ('b')", word):
            connection.exec_driver_sql(statement)
    assert names(kit) == (["a", "b"] if word == "COMMIT" else ["a"])


@pytest.mark.parametrize(
    "options", [{"isolation_level": "SERIALIZABLE"}, {"timeout": 5.0}, {"read_only": True}]
)
def test_scopes_with_demands(kit: Kit, options: dict[str, Any]) -> None:
    """Isolation level, timeout and read-only scopes run, again and again."""
    with kit.app.app_context():
        add(kit, "a")
        for _ in range(2):
            with session_manager(**options) as session:
                assert session.scalar(select(func.count()).select_from(kit.Item)) == 1
        add(kit, "b")


def test_a_read_only_scope_still_refuses(kit: Kit) -> None:
    """A write in it fails as it does in production."""
    with kit.app.app_context():
        with pytest.raises(errors.ReadOnlyError):
            add(kit, "a", read_only=True)
        add(kit, "b")
    assert names(kit) == ["b"]


def test_a_statement_timeout_ends_with_its_scope(make_kit: MakeKit) -> None:
    """``SET LOCAL`` lasts for a real transaction; here it is put back when the code's own ends."""
    kit = make_kit("postgresql-psycopg")
    with RollbackIsolation(kit.app), kit.app.app_context():
        with session_manager(timeout=3) as session:
            session.execute(text("SET LOCAL app.tenant = 'it''s'"))
        with session_manager() as session:
            assert session.scalar(text("SHOW statement_timeout")) == "0"
            assert session.scalar(text("SELECT current_setting('app.tenant', true)")) == ""


def test_a_late_constraint(make_kit: MakeKit, database: Database) -> None:
    """A key that is checked at COMMIT is checked when the code under test commits."""
    kit = make_kit(database)
    with RollbackIsolation(kit.app), kit.app.app_context():
        with pytest.raises(IntegrityError), session_manager() as session:
            session.add(kit.LateChild(name="child", parent_id=77))
        with session_manager() as session:
            session.add(kit.LateChild(name="child", parent_id=5))
            if database.dialect != "mariadb":
                session.flush()
            session.add(kit.Parent(id=5, name="parent"))
            if database.dialect == "mariadb":
                session.expunge_all()
    assert kit.count(kit.LateChild) == 0


def test_two_databases(make_kit: MakeKit) -> None:
    """Each engine of the app is rolled back."""
    kit = make_kit("postgresql-psycopg", binds=True)
    with RollbackIsolation(kit.app), kit.app.app_context():
        with session_manager() as session:
            session.add_all([kit.Item(name="a"), kit.Other(name="b")])
        assert session.scalars(select(kit.Other.name)).all() == ["b"]
    assert kit.names() == kit.other_names() == []


def test_two_phase_commit(make_kit: MakeKit) -> None:
    """Prepared transactions are the test's own."""
    kit = make_kit("postgresql-psycopg", binds=True, config={"SAFESESSION_TWOPHASE": True})
    with RollbackIsolation(kit.app), kit.app.app_context():
        with session_manager() as session:
            session.add_all([kit.Item(name="a"), kit.Other(name="b")])
        assert session.scalars(select(kit.Item.name)).all() == ["a"]
    assert kit.names() == kit.other_names() == []


def test_definitions_on_mariadb(make_kit: MakeKit) -> None:
    """A statement at which MariaDB commits is refused."""
    kit = make_kit("mariadb-pymysql")
    with RollbackIsolation(kit.app), kit.app.app_context(), session_manager() as session:
        with pytest.raises(
            errors.IsolationUnavailableError, match="sent 'CREATE', at which MariaDB"
        ):
            session.execute(text("CREATE TABLE late (id int)"))
        session.execute(text("CREATE TEMPORARY TABLE late (id int)"))
        session.execute(text("DROP TEMPORARY TABLE late"))


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("mariadb-pymysql", "/* a table */ CREATE TABLE late (id int)"),
        ("postgresql-psycopg", "-- two phases\nPREPARE TRANSACTION 'late'"),
    ],
)
def test_what_ends_the_transaction_behind_a_remark(
    make_kit: MakeKit, name: str, statement: str
) -> None:
    """It is refused all the same: the rows of the test would stay."""
    kit = make_kit(name)
    with RollbackIsolation(kit.app), kit.app.app_context():
        add(kit, "a")
        with pytest.raises(errors.IsolationUnavailableError, match="sent '"):
            kit.db.session.execute(text(statement))
        kit.db.session.rollback()
    assert kit.names() == []


def test_sqlite_in_memory_has_a_database_for_each_thread(make_kit: MakeKit) -> None:
    """A thread that would see an empty database gets an error that says so."""
    engine = create_engine("sqlite://")
    kit = make_kit()
    with RollbackIsolation(kit.app, engines=[engine]), engine.connect():
        with AppContextManager(kit.app).executor(1) as executor:
            failed = executor.submit(engine.connect)
        with pytest.raises(errors.IsolationUnavailableError, match="SQLite in memory"):
            failed.result()


def test_an_engine_in_autocommit(make_kit: MakeKit) -> None:
    """What cannot be rolled back is refused at the first use."""
    kit = make_kit("postgresql-psycopg", engine_options={"isolation_level": "AUTOCOMMIT"})
    with RollbackIsolation(kit.app):
        with pytest.raises(errors.IsolationUnavailableError, match="AUTOCOMMIT"):
            kit.engine.connect()


def test_an_unknown_database(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that nobody has tried is refused before the test begins, and nothing is left of it."""
    kit = make_kit()
    monkeypatch.setattr(kit.engine.dialect, "name", "oracle")
    before = kit.engine.pool
    with pytest.raises(errors.IsolationUnavailableError, match="rolled back on 'oracle'"):
        RollbackIsolation(kit.app).__enter__()
    assert kit.engine.pool is before


def test_isolation_inside_isolation(sqlite_kit: Kit) -> None:
    """Once is enough."""
    with RollbackIsolation(sqlite_kit.app):
        with pytest.raises(errors.IsolationUnavailableError, match="is isolated already"):
            RollbackIsolation(sqlite_kit.app).__enter__()


def test_an_app_without_the_extension(make_kit: MakeKit) -> None:
    """The message names the app and the call."""
    kit = make_kit(safe=False)
    with pytest.raises(errors.NoAppError, match=r"has no SafeSession. Call 'SafeSession\(app\)'"):
        RollbackIsolation(kit.app).__enter__()


def test_the_engine_is_what_it_was(make_kit: MakeKit, every_database: Database) -> None:
    """Isolation leaves neither a pool nor a replaced method behind."""
    kit = make_kit(every_database)
    with kit.app.app_context():
        add(kit, "before")
    before, pool = _dialect(kit), kit.engine.pool
    with RollbackIsolation(kit.app):
        assert (_dialect(kit) != before, kit.engine.pool is pool) == (True, False)
    assert (_dialect(kit), kit.engine.pool) == (before, pool)


def _dialect(kit: Kit) -> dict[str, Any]:
    # What listeners leave behind is idle.
    own = ("_has_events", "dispatch", "_safesession_tap", "_safesession_levels_noted")
    return {name: each for name, each in vars(kit.engine.dialect).items() if name not in own}


def test_a_listener_that_begins(make_kit: MakeKit) -> None:
    """SQLAlchemy's recipe for SQLite sends BEGIN by itself."""
    kit = make_kit("sqlite-file")
    event.listen(kit.engine, "begin", _begin)
    with RollbackIsolation(kit.app), kit.app.app_context():
        add(kit, "a")
        add(kit, "b")
    assert kit.names() == []


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


def test_a_connection_that_was_thrown_away(kit: Kit) -> None:
    """What was not committed on it is undone, and the next one works."""
    with kit.engine.connect() as connection:
        connection.execute(text("INSERT INTO item (name) VALUES ('a')"))
        connection.invalidate()
    assert names(kit) == []


def test_a_connection_that_left_its_pool(sqlite_kit: Kit) -> None:
    """One that was detached is undone too."""
    with RollbackIsolation(sqlite_kit.app):
        with sqlite_kit.engine.connect() as connection:
            connection.execute(text("INSERT INTO item (name) VALUES ('b')"))
            connection.detach()
        assert names(sqlite_kit) == []


def test_a_connection_that_was_collected(kit: Kit) -> None:
    """Its transaction is undone at the next use of the engine."""
    connection = kit.engine.connect()
    connection.execute(text("INSERT INTO item (name) VALUES ('a')"))
    del connection
    gc.collect()
    assert names(kit) == []


def test_a_connection_from_after_the_test(sqlite_kit: Kit) -> None:
    """A job that outlives its test is refused."""
    with RollbackIsolation(sqlite_kit.app):
        connection = sqlite_kit.engine.connect()
    with pytest.raises(StatementError, match="a test which is over"):
        connection.execute(text("SELECT 1"))
    connection.close()


def test_the_scope_is_what_it_is_in_production(kit: Kit) -> None:
    """Nothing is open around the outermost scope of the code under test."""
    with kit.app.app_context():
        assert current_scope() is None
        with session_manager():
            scope = current_scope()
            assert scope is not None
            assert scope.depth == 1


def test_disposing_of_an_engine(kit: Kit) -> None:
    """Code that closes the pool does not end the test's transaction."""
    with kit.app.app_context():
        add(kit, "a")
        kit.session().close()
    kit.engine.dispose()
    assert names(kit) == ["a"]
    assert "loans" in kit.engine.pool.status()


def test_a_transaction_of_a_thread_that_has_ended(sqlite_kit: Kit) -> None:
    """Nobody waits for it."""
    opened: list[Any] = []

    def opens() -> None:
        opened.append(sqlite_kit.engine.connect())
        opened[0].execute(text("SELECT 1"))

    with RollbackIsolation(sqlite_kit.app, patience=0.2), sqlite_kit.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        thread = threading.Thread(target=opens)
        thread.start()
        thread.join()
        connection.execute(text("SELECT 1"))
        assert names(sqlite_kit) == []
        opened[0].close()


def test_a_connection_from_before_the_test(make_kit: MakeKit) -> None:
    """What was taken before keeps its own transaction."""
    kit = make_kit("postgresql-psycopg")
    with kit.engine.connect() as before, RollbackIsolation(kit.app):
        before.execute(text("INSERT INTO item (name) VALUES ('a')"))
        before.commit()
    assert kit.names() == ["a"]


def test_the_drivers_connection(kit: Kit) -> None:
    """It is the real one, for code that asks for it."""
    with kit.engine.connect() as connection:
        fairy = connection.connection
        assert fairy.driver_connection is fairy.dbapi_connection


def test_a_scope_that_only_reads_is_not_missed(kit: Kit) -> None:
    """What its demands sent to the connection is nothing that a rollback around it takes along."""
    with kit.app.app_context():
        kit.session().add(kit.Item(name="test data"))
        kit.session().flush()
        with kit.app.app_context(), session_manager(read_only=True, timeout=30) as session:
            session.scalars(select(kit.Item.name)).all()
        kit.session().rollback()  # no SafeSessionWarning
    assert names(kit) == []
