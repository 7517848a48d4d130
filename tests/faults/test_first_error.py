"""The first error of a transaction beats the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from flask_safesession import classify, session_manager
from flask_safesession.errors import UnexpectedRollbackError
from tests.kit import Kit, MakeKit

from .bench import wait_for
from .on_servers import SET_BOTH, TWO_ROWS

MORE = "INSERT INTO parent (name) SELECT seq FROM seq_1_to_99"


@pytest.fixture(params=["mariadb-pymysql", "mariadb-mysqlclient"])
def mariadb(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on MariaDB through each driver."""
    return make_kit(request.param)


@pytest.fixture(params=["postgresql-psycopg", "postgresql-psycopg2"])
def postgresql(request: pytest.FixtureRequest, make_kit: MakeKit) -> Kit:
    """A kit on PostgreSQL through each driver."""
    return make_kit(request.param)


@contextmanager
def _somebody_waits(kit: Kit) -> Iterator[None]:
    """Another transaction has changed much and waits for the row ``a``: it will not be the victim."""
    assert kit.database.observer is not None
    with kit.engine.connect() as other, kit.database.observer.connect() as watcher:
        number = other.scalar(text("SELECT connection_id()"))
        other.exec_driver_sql(MORE)
        other.exec_driver_sql(SET_BOTH[1])
        waiting = threading.Thread(target=other.exec_driver_sql, args=(SET_BOTH[0],))
        waiting.start()
        busy = "SELECT count(*) FROM information_schema.processlist"
        wait_for(watcher, f"{busy} WHERE id = {number} AND state = 'Updating'")
        try:
            yield
        finally:
            waiting.join()


def test_a_deadlock_inside_a_savepoint(mariadb: Kit) -> None:
    """It takes the savepoint with it, and arrives as 1305 "SAVEPOINT does not exist"."""
    with mariadb.engine.begin() as connection:
        connection.exec_driver_sql(TWO_ROWS)
    with mariadb.app.app_context():
        with pytest.raises(OperationalError) as caught, session_manager() as session:
            session.execute(text(SET_BOTH[0]))
            with _somebody_waits(mariadb), session.begin_nested():
                session.execute(text(SET_BOTH[1]))
    assert caught.value.orig is not None
    assert caught.value.orig.args[0] == 1305
    fault = classify(caught.value)
    assert (fault.category, fault.code, fault.retry_safe) == ("deadlock", "1213", True)
    assert classify(caught.value.orig) == fault


def _swallow_a_deadlock(kit: Kit, then: Callable[[Session], object]) -> None:
    """Go on in a scope after a deadlock as if nothing had been, and do *then*."""
    with kit.engine.begin() as connection:
        connection.exec_driver_sql(TWO_ROWS)
    with kit.app.app_context(), session_manager() as session:
        session.execute(text(SET_BOTH[0]))
        with _somebody_waits(kit), pytest.raises(OperationalError):
            session.execute(text(SET_BOTH[1]))
        then(session)


def test_a_deadlock_that_was_swallowed(mariadb: Kit) -> None:
    """Whatever fails later in what is left of the transaction follows from it."""
    with pytest.raises(IntegrityError) as caught:
        _swallow_a_deadlock(mariadb, lambda session: session.execute(text(TWO_ROWS)))
    assert classify(caught.value).category == "deadlock"


def test_a_deadlock_that_the_owner_gets_as_unexpected_rollback(mariadb: Kit) -> None:
    """The scope raises it from the first error, which counts."""
    with pytest.raises(UnexpectedRollbackError) as caught:
        _swallow_a_deadlock(mariadb, lambda session: None)
    assert classify(caught.value).category == "deadlock"


def test_a_duplicate_that_was_swallowed_explains_nothing(mariadb: Kit) -> None:
    """MariaDB goes on after it, and what fails later fails by itself."""
    with mariadb.app.app_context():
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            session.execute(text(TWO_ROWS))
            with pytest.raises(IntegrityError):
                session.execute(text(TWO_ROWS))
            session.execute(text("SELEC 1"))
    assert classify(caught.value).category == "programming"


def test_a_savepoint_that_sqlite_has_rolled_back(sqlite_kit: Kit) -> None:
    """With the whole transaction: there is no such savepoint then."""
    with sqlite_kit.app.app_context():
        with pytest.raises(OperationalError, match="no such savepoint") as caught:
            with session_manager() as session:
                session.execute(text(TWO_ROWS))
                with session.begin_nested():
                    session.execute(text("INSERT OR ROLLBACK INTO item (name) VALUES ('a')"))
    assert classify(caught.value).category == "unique"


FIRST = {
    "SET LOCAL lock_timeout = 1; LOCK TABLE item": ("lock_timeout", True, 503),
    "SELECT 1 / 0": ("data", False, 500),
}


@pytest.mark.parametrize("statement", FIRST)
def test_an_aborted_transaction_follows_its_first_error(postgresql: Kit, statement: str) -> None:
    """25P02 may be tried again if that may."""
    category, safe, status = FIRST[statement]
    with postgresql.engine.connect() as holder, postgresql.app.app_context():
        holder.exec_driver_sql("LOCK TABLE item")
        with pytest.raises(DBAPIError) as caught, session_manager() as session:
            with pytest.raises(DBAPIError) as first:
                session.execute(text(statement))
            session.execute(text("SELECT 1"))
    assert classify(first.value).category == category
    fault = classify(caught.value)
    assert (fault.category, fault.code) == ("transaction_aborted", "25P02")
    assert (fault.transient, fault.retry_safe, fault.http_status) == (safe, safe, status)


def test_a_session_that_waits_for_its_rollback_follows_its_first_error(kit: Kit) -> None:
    """SQLAlchemy's ``PendingRollbackError`` does not say why, whichever way it comes."""
    item = kit.Item
    with kit.app.app_context():
        session = kit.session()
        session.add_all([item(name="a"), item(name="a")])
        with pytest.raises(IntegrityError):
            session.flush()
        for act in (
            lambda: session.execute(text("SELECT 1")),
            lambda: session.scalar(text("SELECT 1")),
            lambda: session.scalars(text("SELECT 1")),
            session.commit,
        ):
            with pytest.raises(PendingRollbackError) as caught:
                act()
            fault = classify(caught.value)
            assert (fault.category, fault.retry_safe) == ("transaction_aborted", False)
        session.rollback()


def test_a_lost_connection_is_the_first_error_too(postgresql: Kit) -> None:
    """What SQLAlchemy refuses afterwards may be tried again, as the whole transaction may."""
    with postgresql.app.app_context():
        session = postgresql.session()
        with pytest.raises(OperationalError):
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        with pytest.raises(PendingRollbackError) as caught:
            session.execute(text("SELECT 1"))
        session.rollback()
    fault = classify(caught.value)
    assert (fault.category, fault.retry_safe, fault.http_status) == (
        "transaction_aborted",
        True,
        503,
    )


def test_a_pending_rollback_without_a_failure(sqlite_kit: Kit) -> None:
    """A connection that was invalidated by hand had no error before."""
    with sqlite_kit.app.app_context():
        session = sqlite_kit.session()
        session.connection().invalidate()
        with pytest.raises(PendingRollbackError) as caught:
            session.execute(text("SELECT 1"))
        session.rollback()
    assert not classify(caught.value).retry_safe
