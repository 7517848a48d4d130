"""Real commits, and tables that are empty again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, text

from flask_safesession import errors, session_manager
from flask_safesession.testing import CommitIsolation
from flask_safesession.testing._emptying import _AROUND, tables_written
from tests.databases import Database
from tests.kit import Kit, MakeKit

Sql = Callable[..., Any]


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
        ("WITH x AS (SELECT 1) SELECT * FROM x", set()),
        ("WITH x AS (SELECT 1) UPDATE a SET y = 1", {"a"}),
        ("-- why\nINSERT INTO a VALUES (1)", {"a"}),
        ("INSERT INTO log$2 VALUES (1)", {"log$2"}),
        ("LOCK TABLE a IN SHARE MODE", set()),
        ("NOTIFY a", set()),
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


def test_what_is_no_write_empties_nothing(kit: Kit) -> None:
    """Neither a common table expression nor a temporary table costs the others their rows."""
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Other(name="reference"))
    known = select(kit.Other.name).cte("known")
    with CommitIsolation(kit.app), kit.app.app_context(), session_manager() as session:
        assert session.scalars(select(known)).all() == ["reference"]
        session.add(kit.Item(name="a"))
        session.execute(text("CREATE TEMPORARY TABLE draft (x INT)"))
        session.execute(text("INSERT INTO draft VALUES (1)"))
    assert (kit.names(), kit.other_names()) == ([], ["reference"])


@pytest.fixture
def sql(make_kit: MakeKit, database: Database) -> Sql:
    """Sends statements to an app's database by themselves."""
    kit = make_kit(database)

    def send(*statements: str) -> Any:
        with kit.engine.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else kit

    return send


def test_a_circle_of_keys(sql: Sql) -> None:
    """Two tables that refer to each other are emptied, each of whose rows keeps the other's."""
    kit = sql("CREATE TABLE one (id INT PRIMARY KEY, two_id INT)")
    sql("CREATE TABLE two (id INT PRIMARY KEY, one_id INT REFERENCES one (id))")
    if kit.engine.dialect.name != "sqlite":  # which has to know the key when the table is made
        sql("ALTER TABLE one ADD FOREIGN KEY (two_id) REFERENCES two (id)")
    try:
        with CommitIsolation(kit.app):
            sql("INSERT INTO one VALUES (1, NULL)", "INSERT INTO two VALUES (1, 1)")
            sql("UPDATE one SET two_id = 1")
        assert sql("SELECT count(*) FROM one") == sql("SELECT count(*) FROM two") == 0
    finally:
        if kit.engine.dialect.name != "sqlite":
            sql(*_DROPS[kit.engine.dialect.name])
        sql("DROP TABLE IF EXISTS two", "DROP TABLE IF EXISTS one")


# The constraints have the names that each server gives them.
_DROPS = {
    "postgresql": ["ALTER TABLE one DROP CONSTRAINT one_two_id_fkey"],
    "mysql": ["ALTER TABLE one DROP FOREIGN KEY one_ibfk_1"],
}


@pytest.mark.mariadb
def test_keys_are_checked_again(make_kit: MakeKit) -> None:
    """A table that could not be emptied leaves no connection in the pool that checks none; it has its own limits."""
    kit = make_kit("mariadb-pymysql")
    asked = text("SELECT @@foreign_key_checks, @@innodb_lock_wait_timeout")
    with kit.engine.connect() as one, kit.engine.connect() as two:
        for each in (one, two):
            each.execute(text("SET SESSION innodb_lock_wait_timeout = 7"))
    with CommitIsolation(kit.app), kit.engine.begin() as connection:
        connection.execute(text("CREATE TABLE short_lived (x INT)"))
        connection.execute(text("INSERT INTO short_lived VALUES (1)"))
        connection.execute(text("DROP TABLE short_lived"))
    with kit.engine.connect() as one, kit.engine.connect() as two:
        assert [tuple(each.execute(asked).one()) for each in (one, two)] == [(1, 7), (1, 7)]


@pytest.mark.mariadb
def test_numbers_that_somebody_reads(make_kit: MakeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB waits a day for a table that an open transaction has read; the test does not."""
    kit = make_kit("mariadb-pymysql")
    short = [each.replace("= 5", "= 1") for each in _AROUND["mysql"][0]]
    monkeypatch.setitem(_AROUND, "mysql", (short, _AROUND["mysql"][1]))
    told = pytest.raises(
        errors.IsolationUnavailableError, match=r"could not be reset: .*1205.*Close"
    )
    with kit.engine.connect() as reading:
        reading.execute(text("SELECT * FROM item")).all()
        with told:
            CommitIsolation(kit.app, reset_sequences=True).__enter__()


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("options", "first", "after"),
    [
        ("START 1000 MINVALUE 1000", 1000, 1001),
        ("INCREMENT -1", -1, -2),
        ("START 5 INCREMENT 10", 5, 6),
        ("MAXVALUE 3 CYCLE", 1, 2),
    ],
)
def test_numbers_that_begin_elsewhere(
    make_kit: MakeKit, options: str, first: int, after: int
) -> None:
    """An empty table begins where its sequence does, which may not know 1."""
    kit = make_kit("postgresql-psycopg")
    with kit.engine.begin() as connection:
        made = f"CREATE TABLE numbered (id INT GENERATED BY DEFAULT AS IDENTITY ({options}), x INT)"
        connection.execute(text(made))
    insert = text("INSERT INTO numbered (x) VALUES (1) RETURNING id")
    found = []
    try:
        for _ in range(2):
            with CommitIsolation(kit.app, reset_sequences=True), kit.engine.begin() as connection:
                found.append(connection.scalar(insert))
        with kit.engine.begin() as connection:
            connection.execute(text("INSERT INTO numbered (id, x) VALUES (:id, 1)"), {"id": first})
        with CommitIsolation(kit.app, reset_sequences=True), kit.engine.begin() as connection:
            found.append(connection.scalar(insert))
    finally:
        with kit.engine.begin() as connection:
            connection.execute(text("DROP TABLE numbered"))
    assert found == [first, first, after]


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
