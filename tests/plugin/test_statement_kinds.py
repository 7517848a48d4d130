"""What a statement does, and so what a test that is rolled back makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select, text

from flask_safesession import errors, session_manager
from flask_safesession.testing import RollbackIsolation
from flask_safesession.testing._statements import ends_on_the_way, kind_of
from tests.databases import Database
from tests.kit import Kit, MakeKit

from .test_rollback import add, names


@pytest.fixture
def kit(make_kit: MakeKit, database: Database) -> Iterator[Kit]:
    """An app on each database, of which nothing is stored when the isolation has ended."""
    kit = make_kit(database)
    with RollbackIsolation(kit.app):
        yield kit
    assert kit.names() == []


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("WITH x AS (SELECT 1) SELECT * FROM x", "read"),
        ("with recursive x as (select updated from a) select replace(y, 'a', 'b') from x", "read"),
        ("WITH x AS (SELECT 1) SELECT * FROM a FOR NO KEY UPDATE OF a", "read"),
        ("WITH x AS (SELECT 1) UPDATE a SET y = 1", "write"),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", "write"),
        ("WITH x AS (SELECT 1) /* all */ INSERT INTO a SELECT * FROM x", "write"),
        ("WITH x AS (SELECT 1) SELECT * INTO b FROM x", "write"),
        ("-- who asks\nSELECT 1", "read"),
        ("/* who */ /* asks */ SELECT 1", "read"),
        ("/* who */ INSERT INTO a /* asks */ SELECT 1", "write"),
        ("/*! INSERT INTO a */ SELECT 1", "write"),
        ("/* the end */ COMMIT", "commit"),
        ("ABORT", "rollback"),
        ("COMMIT PREPARED 'x'", "write"),
        ("TABLE a", "read"),
    ],
)
def test_the_kind_of_a_statement(statement: str, kind: str) -> None:
    """Remarks before it and WITH do not make it a write; a word that may write does."""
    assert kind_of(statement) == kind


@pytest.mark.parametrize(
    ("statement", "ends"),
    [
        ("BEGIN; INSERT INTO a VALUES (1); COMMIT", True),
        ("INSERT INTO a VALUES (1);\nCOMMIT;", True),
        ("SELECT 1; ABORT", True),
        ("INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)", False),
        ("COMMIT;", False),
        ("SAVEPOINT s; ROLLBACK TO s", False),
        ("DO $$ DECLARE x int; BEGIN x = 1; END $$", False),
        ("CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; END", False),
    ],
)
def test_several_statements_in_one_text(statement: str, ends: bool) -> None:
    """They are looked through for what begins or ends a transaction; what a function says is its own business."""
    assert ends_on_the_way(statement) is ends


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("BEGIN; INSERT INTO item (name, amount) VALUES ('a', 1); COMMIT", "several statements"),
        ("INSERT INTO item (name, amount) VALUES ('a', 1); COMMIT", "several statements"),
        ("PREPARE TRANSACTION 'a'", "sent 'PREPARE TRANSACTION'"),
    ],
)
def test_what_would_end_the_test(make_kit: MakeKit, statement: str, message: str) -> None:
    """It is neither sent, for its rows would stay, nor dropped without a word."""
    kit = make_kit("postgresql-psycopg2")
    with RollbackIsolation(kit.app):
        refused = pytest.raises(errors.IsolationUnavailableError, match=message)
        with refused, kit.engine.connect() as connection:
            connection.exec_driver_sql(statement)
    assert kit.names() == []


@pytest.mark.postgresql
def test_abort_is_a_rollback(make_kit: MakeKit) -> None:
    """PostgreSQL takes the word for ROLLBACK; what was committed before stays."""
    kit = make_kit("postgresql-psycopg")
    with RollbackIsolation(kit.app):
        with kit.app.app_context():
            add(kit, "a")
        with kit.engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO item (name, amount) VALUES ('b', 1)")
            connection.exec_driver_sql("ABORT")
        assert names(kit) == ["a"]
    assert kit.names() == []


def test_a_common_table_expression_reads(kit: Kit) -> None:
    """A read-only scope may send it, and a scope that has sent it may wait for one of its own."""
    known = select(kit.Item.name).cte("known")
    with kit.app.app_context():
        with session_manager(read_only=True) as session:
            session.execute(select(known)).all()
        with pytest.raises(ZeroDivisionError), session_manager() as session:
            session.execute(select(known)).all()
            add(kit, "log", propagation="requires_new")
            raise ZeroDivisionError
    assert names(kit) == ["log"]


def test_a_savepoint_with_a_remark(kit: Kit) -> None:
    """It is one of the transaction's own, as without."""
    with kit.app.app_context(), session_manager() as session:
        session.execute(text("/* try */ SAVEPOINT s"))
        session.execute(text("INSERT INTO item (name, amount) VALUES ('a', 1)"))
        session.execute(text("/* no */ ROLLBACK TO SAVEPOINT s"))
    assert names(kit) == []


@pytest.fixture
def writer(make_kit: MakeKit) -> Iterator[Kit]:
    """An app on PostgreSQL with a function that stores an item."""
    kit = make_kit("postgresql-psycopg")
    with kit.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION note(text) RETURNS int LANGUAGE sql AS"
                " 'INSERT INTO item (name, amount) VALUES ($1, 1); SELECT 1'"
            )
        )
    yield kit
    with kit.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION note"))


def test_a_function_that_writes(writer: Kit) -> None:
    """What a SELECT has stored by it is undone with its scope, and with the test."""
    kit = writer
    with RollbackIsolation(kit.app):
        with kit.app.app_context():
            with pytest.raises(ZeroDivisionError), session_manager() as session:
                session.scalar(select(func.note("a")))
                raise ZeroDivisionError
            with session_manager() as session:
                session.scalar(select(func.note("b")))
        assert names(kit) == ["b"]
    assert kit.names() == []


def test_a_function_below_a_transaction_that_has_committed(writer: Kit) -> None:
    """Whoever calls none that is known to write takes no committed row along."""
    kit = writer
    with RollbackIsolation(kit.app), kit.app.app_context():
        with pytest.raises(ZeroDivisionError), session_manager() as session:
            session.scalar(select(func.note("a")))
            add(kit, "log", propagation="requires_new")
            raise ZeroDivisionError
        assert "log" in names(kit)


@pytest.mark.postgresql
def test_what_was_committed_below_another(make_kit: MakeKit) -> None:
    """It stays where the lowest transaction has only read, and is told where that one takes it along."""
    kit = make_kit("postgresql-psycopg")
    with RollbackIsolation(kit.app):
        _roll_back_below(kit, "SELECT 1")
        assert names(kit) == ["a"]
    isolation = RollbackIsolation(kit.app)
    with pytest.warns(errors.SafeSessionWarning, match="had committed when"), isolation:
        _roll_back_below(kit, "DELETE FROM item")
        assert names(kit) == []


def _roll_back_below(kit: Kit, begin: str) -> None:
    """Roll back what *begin* begins, after one above it has committed while a third was open."""
    with kit.engine.connect() as low, kit.engine.connect() as middle, kit.engine.connect() as high:
        low.execute(text(begin))
        middle.execute(text("INSERT INTO item (name, amount) VALUES ('a', 1)"))
        high.execute(text("SELECT 1"))
        middle.commit()
        high.rollback()
        low.rollback()
