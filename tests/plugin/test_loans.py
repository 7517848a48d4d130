"""The books that are kept on the one connection of a test, where the code under test does what few do."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import StaticPool, create_engine, event, text

from flask_safesession._core.places import here
from flask_safesession.testing import Faults, RollbackIsolation
from flask_safesession.testing._databases import Database, database_of
from flask_safesession.testing._emptying import _Written
from flask_safesession.testing._lending import SharedConnection
from flask_safesession.testing._loans import Loan

from ..kit import Kit, MakeKit


def test_a_cursor_of_somebody_else() -> None:
    """Only the last one that was made counts as read."""
    loan = Loan(1, here(0))
    loan.give("own")
    loan.read("other")
    assert loan.unread == 1


def test_a_savepoint_that_is_not_known() -> None:
    """The database says what it thinks of that; the books stay as they are."""
    loan = Loan(1, here(0))
    loan.nest("SAVEPOINT", "a")
    loan.nest("RELEASE SAVEPOINT", "b")
    assert loan.innermost == "a"


def test_a_transaction_that_was_never_begun() -> None:
    """Its COMMIT and ROLLBACK send nothing."""
    shared = SharedConnection(create_engine("sqlite://", poolclass=StaticPool))
    loan = shared.lend()
    shared.commit(loan)
    shared.rollback(loan)
    assert (shared._fairy, shared._stack) == (None, [])


def test_a_loan_that_was_collected_with_nothing_open() -> None:
    """There is nothing to undo."""
    shared = SharedConnection(create_engine("sqlite://", poolclass=StaticPool))
    shared._collected.append(shared.lend())
    shared._bury()
    assert shared._collected == []


def test_sqlite_begins_once() -> None:
    """Where the driver has begun already, and where nothing was begun."""
    database = database_of(create_engine("sqlite://"))
    raw = sqlite3.connect(":memory:")
    database.close(raw)
    database.open(raw)
    database.open(raw)
    database.close(raw)
    assert raw.in_transaction is False
    raw.close()


def test_a_setting_that_nobody_has_to_put_back(make_kit: MakeKit) -> None:
    """SQLite has none that a transaction would end, and PostgreSQL some that are spelt in words."""
    sqlite = database_of(create_engine("sqlite://"))
    postgresql = database_of(make_kit("postgresql-psycopg").engine)
    found = [Database.setting(sqlite, "SET LOCAL a = 1", None)]
    found += [postgresql.setting("SET LOCAL", None)]
    assert found == [None, None]


def test_an_exception_tells_more_than_orders_that_never_came(sqlite_kit: Kit) -> None:
    """The test has failed for another reason."""
    with pytest.raises(KeyError), Faults(sqlite_kit.app) as faults:
        faults.fail("commit", error="deadlock")
        raise KeyError


def test_a_transaction_that_only_read_below_one_that_goes_on(make_kit: MakeKit) -> None:
    """It ends when the one above it does."""
    kit = make_kit("postgresql-psycopg")
    with RollbackIsolation(kit.app), kit.app.app_context():
        with kit.engine.connect() as outer:
            outer.execute(text("SELECT 1"))
            with kit.engine.connect() as inner:
                inner.execute(text("SELECT 1"))
                outer.rollback()
                assert inner.scalar(text("SELECT 1")) == 1


def test_a_database_without_tables_is_empty() -> None:
    """No statement is sent."""
    engine = create_engine("sqlite://")
    sent: list[object] = []
    event.listen(engine, "connect", lambda *_: sent.append(_))
    _Written(engine)._delete([])
    assert sent == []


def test_a_setting_of_mariadb_goes_its_way(make_kit: MakeKit) -> None:
    """``SET LOCAL`` is for the session there, whose end puts it back."""
    kit = make_kit("mariadb-pymysql")
    with RollbackIsolation(kit.app), kit.app.app_context():
        kit.session().execute(text("SET LOCAL lock_wait_timeout = 5"))
        assert kit.session().scalar(text("SELECT @@lock_wait_timeout")) == 5
