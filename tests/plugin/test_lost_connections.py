"""A test that is rolled back and has lost its one connection."""

from __future__ import annotations

import sqlite3

import pytest

from flask_safesession.testing._loss import Loss
from tests.conftest import Wanted
from tests.kit import Kit

from .inner import Inner

pytest_plugins = ["pytester"]

KILL = {
    "postgresql-psycopg": "SELECT pg_terminate_backend(pg_backend_pid())",
    "postgresql-psycopg2": "SELECT pg_terminate_backend(pg_backend_pid())",
    "mariadb-pymysql": "KILL CONNECTION_ID()",
}


@pytest.mark.parametrize("database", KILL)
@pytest.mark.parametrize("write", ["pass", "db_session.add(Item(name='a')); db_session.flush()"])
def test_the_connection_of_the_test_is_killed(
    inner: Inner, wanted: Wanted, database: str, write: str
) -> None:
    """One line says so, with the way out, and the next test has another one."""
    result = inner.on(wanted.get(database).url).run(
        f"""
        from sqlalchemy.exc import DBAPIError

        def test_one(app, db_session):
            {write}
            with pytest.raises(DBAPIError):
                db_session.execute(db.text("{KILL[database]}"))

        def test_two(app, db_session):
            assert names() == []
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "The connection of the test to '*' was lost before the test was over*isolation=\"commit\"*"
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*_lending.py*")


@pytest.mark.parametrize(
    "database", ["postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql"]
)
def test_the_connection_of_its_coroutines_is_killed(
    inner: Inner, wanted: Wanted, database: str
) -> None:
    """It is the same with the drivers of async sessions."""
    result = inner.on(wanted.get(database).url).run(
        f"""
        import asyncio
        from sqlalchemy.exc import DBAPIError
        from flask_safesession import session_manager

        async def kill():
            async with session_manager() as session:
                await session.execute(db.text("{KILL[database]}"))

        async def count():
            async with session_manager() as session:
                return len((await session.scalars(db.select(Item))).all())

        def test_one(app, db_session):
            with pytest.raises(DBAPIError):
                asyncio.run(kill())

        def test_two(app, db_session):
            assert asyncio.run(count()) == 0
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["The connection of the test to '*' was lost before the test was over*"]
    )


def test_a_statement_after_the_loss(inner: Inner, wanted: Wanted) -> None:
    """It meets the same line, and not the driver's."""
    inner.on(wanted.get("postgresql-psycopg").url).run(
        f"""
        from flask_safesession import errors
        from sqlalchemy.exc import DBAPIError

        def test_one(app, db_session):
            with pytest.raises(DBAPIError):
                db_session.execute(db.text("{KILL["postgresql-psycopg"]}"))
            db_session.rollback()
            with pytest.raises(errors.IsolationUnavailableError, match="was lost before"):
                db_session.execute(db.text("SELECT 1"))
        """
    ).assert_outcomes(passed=1, errors=1)


def test_another_error_at_the_end(sqlite_kit: Kit) -> None:
    """It is the driver's own: nothing was lost."""
    loss = Loss(sqlite_kit.engine)
    with pytest.raises(sqlite3.ProgrammingError), loss.told(None):
        raise sqlite3.ProgrammingError("no such thing")
    assert not loss.is_known
