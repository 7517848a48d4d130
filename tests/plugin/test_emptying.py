"""Real commits, and tables that are empty again."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text

from flask_safesession import errors, session_manager
from flask_safesession.testing import CommitIsolation
from flask_safesession.testing._emptying import tables_written
from tests.databases import Database
from tests.kit import Kit, MakeKit


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("SELECT * FROM a FOR UPDATE", set()),
        ("INSERT INTO a (x) VALUES (1)", {"a"}),
        ('INSERT OR IGNORE INTO "a b" VALUES (1) ON CONFLICT DO UPDATE SET x = 1', {'"a b"'}),
        ("insert ignore into `s`.`a` values (1)", {"`s`.`a`"}),
        ("REPLACE INTO a VALUES (1)", {"a"}),
        ("UPDATE ONLY s.a SET x = 1 FROM b", {"s.a"}),
        ("DELETE FROM a USING b", {"a"}),
        ("WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", {"a", "b"}),
        ("TRUNCATE a", {"a"}),
        ("COPY a FROM STDIN", {"a"}),
        ("CREATE TABLE a (x int)", set()),
        ("CALL fill()", None),
        ("DO $$ BEGIN END $$", None),
    ],
)
def test_the_tables_of_a_statement(statement: str, tables: set[str] | None) -> None:
    """They are read from its text; what cannot be read is known not to be."""
    assert tables_written(statement) == tables


def test_what_was_written_is_stored_and_emptied(kit: Kit) -> None:
    """Others see the rows while the test runs, and none of them later."""
    with CommitIsolation(kit.app):
        with kit.app.app_context(), session_manager() as session:
            session.add(kit.Item(name="a"))
        assert kit.names() == ["a"]
    assert kit.names() == []


def test_rows_that_refer_to_each_other(kit: Kit) -> None:
    """Keys are no obstacle, in whichever order the tables were written to."""
    with CommitIsolation(kit.app):
        with kit.app.app_context(), session_manager() as session:
            session.execute(text("UPDATE child SET name = 'nobody'"))
            session.execute(text("INSERT INTO parent (id, name) VALUES (1, 'p')"))
            session.execute(text("INSERT INTO child (id, name, parent_id) VALUES (1, 'c', 1)"))
    assert kit.count(kit.Parent) == kit.count(kit.Child) == 0


def test_other_tables_stay_as_they_are(kit: Kit) -> None:
    """A table that the test did not write to keeps its rows."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Other(name="reference"))
    with CommitIsolation(kit.app), kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
    assert (kit.names(), kit.other_names()) == ([], ["reference"])


def test_a_statement_that_does_not_tell(make_kit: MakeKit) -> None:
    """After a procedure or an anonymous block all tables are emptied."""
    kit = make_kit("postgresql-psycopg")
    with CommitIsolation(kit.app), kit.app.app_context(), session_manager() as session:
        session.execute(text("DO $$ BEGIN INSERT INTO item (name) VALUES ('a'); END $$"))
    assert kit.names() == []


def test_a_name_that_is_no_table(sqlite_kit: Kit) -> None:
    """Where a name cannot be emptied, all tables are."""
    kit = sqlite_kit
    with CommitIsolation(kit.app), kit.app.app_context(), session_manager() as session:
        session.execute(text("CREATE TEMPORARY VIEW v AS SELECT 1 AS x"))
        session.execute(text("INSERT INTO item (name) VALUES ('; update v')"))
    assert kit.names() == []


def test_numbers_begin_again(make_kit: MakeKit, database: Database) -> None:
    """The first row of each test gets the number 1, if that is asked for."""
    kit = make_kit(database)
    numbers = []
    for _ in range(2):
        with CommitIsolation(kit.app, reset_sequences=True), kit.app.app_context():
            with session_manager() as session:
                item = kit.Item(name="a")
                session.add(item)
                session.flush()
                numbers.append(item.id)
    assert numbers == [1, 1]


def test_numbers_begin_after_what_is_there(make_kit: MakeKit) -> None:
    """A table that is not empty gets no number twice."""
    kit = make_kit("postgresql-psycopg")
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(id=41, name="reference"))
    with CommitIsolation(kit.app, reset_sequences=True), kit.app.app_context():
        with session_manager() as session:
            item = kit.Item(name="a")
            session.add(item)
            session.flush()
            assert item.id == 42


def test_a_table_with_numbers_in_sqlite(sqlite_kit: Kit) -> None:
    """AUTOINCREMENT begins again too."""
    with sqlite_kit.app.app_context(), session_manager() as session:
        session.execute(text("CREATE TABLE n (id INTEGER PRIMARY KEY AUTOINCREMENT, x INT)"))
    numbers = []
    for _ in range(2):
        with CommitIsolation(sqlite_kit.app, reset_sequences=True), sqlite_kit.app.app_context():
            with session_manager() as session:
                session.execute(text("INSERT INTO n (x) VALUES (1)"))
                numbers.append(session.scalar(text("SELECT id FROM n")))
    assert numbers == [1, 1]


def test_an_app_without_the_extension(make_kit: MakeKit) -> None:
    """The message names the call."""
    with pytest.raises(errors.NoAppError, match="has no SafeSession"):
        CommitIsolation(make_kit(safe=False).app).__enter__()


def test_tables_that_are_locked(sqlite_kit: Kit) -> None:
    """One line says so, with what the database answers."""
    engine = sqlite_kit.engine
    event.listen(engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout = 1"))
    told = pytest.raises(errors.IsolationUnavailableError, match=r"emptied.*database is locked")
    with engine.connect() as holding, told, CommitIsolation(sqlite_kit.app):
        with sqlite_kit.app.app_context(), session_manager() as session:
            session.add(sqlite_kit.Item(name="a"))
        holding.execute(text("UPDATE item SET name = 'b'"))
