"""What the call was doing counts: a broken connection means another thing in each phase."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import sqlite3
from contextlib import closing, suppress
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pymysql
import pytest
from sqlalchemy import Connection, Engine, NullPool, bindparam, create_engine, select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session

from flask_safesession import classify
from tests.kit import make_models

from .bench import Bench, dialect_of
from .conftest import MakeBench

SYNC = ("psycopg", "psycopg2", "PyMySQL", "mysqlclient")


def _kill(bench: Bench, connection: Connection) -> None:
    """End the connection from outside."""
    postgresql = dialect_of(bench.driver) == "postgresql"
    asked = "SELECT pg_backend_pid()" if postgresql else "SELECT connection_id()"
    number = connection.exec_driver_sql(asked).scalar_one()
    with bench.other() as other:
        end = f"SELECT pg_terminate_backend({number}, 5000)" if postgresql else f"KILL {number}"
        other.exec_driver_sql(end)


def _stock_engine(bench: Bench) -> Engine:
    """An engine that the extension has never seen."""
    engine = bench.engine()
    return create_engine(engine.url, poolclass=NullPool)


@pytest.mark.parametrize("driver", SYNC)
def test_a_commit_of_an_engine_that_nobody_wired(make_bench: MakeBench, driver: str) -> None:
    """SQLAlchemy says "connection invalidated", which would be tried again, and the work be done twice."""
    bench = make_bench(driver)
    with _stock_engine(bench).connect() as connection:
        _kill(bench, connection)
        with pytest.raises(DBAPIError) as caught:
            connection.commit()
    assert (caught.value.connection_invalidated, caught.value.statement) == (True, None)
    assert classify(caught.value).category == "commit_unknown"


@pytest.mark.parametrize("driver", SYNC)
def test_a_flush_on_the_way_to_the_commit(make_bench: MakeBench, driver: str) -> None:
    """``session.commit()`` flushes first; a connection that breaks there has committed nothing."""
    bench = make_bench(driver)
    with Session(_stock_engine(bench)) as session:
        _kill(bench, session.connection())
        session.add(make_models(bench.dialect, binds=False).Item(name="a"))
        with pytest.raises(DBAPIError) as caught:
            session.commit()
    assert classify(caught.value).category in {"connection_lost", "server_shutdown"}
    assert classify(caught.value).retry_safe


@pytest.mark.parametrize("driver", ["psycopg", "PyMySQL"])
def test_a_bare_commit(make_bench: MakeBench, driver: str) -> None:
    """The driver's own connection, without SQLAlchemy."""
    bench = make_bench(driver)
    with _stock_engine(bench).connect() as connection:
        raw: Any = connection.connection.driver_connection
        _kill(bench, connection)
        with pytest.raises((psycopg.Error, pymysql.Error)) as caught:
            raw.commit()
        connection.invalidate()
    assert classify(caught.value).category == "commit_unknown"


def test_a_transaction_block_of_asyncpg(make_bench: MakeBench) -> None:
    """Its COMMIT is in another function."""
    bench = make_bench("asyncpg")

    async def run() -> None:
        url = bench.url
        connection = await asyncpg.connect(
            host=url.host, port=url.port, user=url.username, database=url.database
        )
        async with connection.transaction():
            number = await connection.fetchval("SELECT pg_backend_pid()")
            with bench.other() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as caught:
        asyncio.run(run())
    assert classify(caught.value).category == "commit_unknown"


def test_a_bare_connect() -> None:
    """psycopg2 does not say that it was connecting, the functions do."""
    with pytest.raises(psycopg2.OperationalError) as caught:
        psycopg2.connect("postgresql://nobody@127.0.0.1:1/nothing")
    assert classify(caught.value).category == "connection_refused"


def test_a_connect_of_asyncpg_that_takes_too_long() -> None:
    """It raises Python's ``TimeoutError``: somebody listens, and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises((TimeoutError, asyncio.TimeoutError)) as caught:
            asyncio.run(asyncpg.connect(host="127.0.0.1", port=port, user="x", timeout=0.05))
    assert classify(caught.value).category == "connection_refused"


def test_a_timeout_of_somebody_else() -> None:
    """Only what came through a driver is a database's."""
    with pytest.raises(OSError, match="refused") as caught:
        smtplib.SMTP("127.0.0.1", 1)
    assert classify(caught.value).category == "unknown"


@pytest.mark.parametrize(
    "driver", ["psycopg", "psycopg2", "asyncpg", "PyMySQL", "asyncmy", "sqlite3"]
)
def test_text_that_cannot_be_sent(make_bench: MakeBench, driver: str) -> None:
    """Half a surrogate pair: most drivers let Python's ``UnicodeEncodeError`` out."""

    def send(bench: Bench) -> None:
        marker = {"sqlite3": "?", "asyncpg": "CAST($1 AS text)"}.get(driver, "%s")
        with bench.engine().connect() as connection:
            connection.exec_driver_sql(f"SELECT {marker}", ("\ud800",))

    error = make_bench(driver).raised(send)
    assert error is not None
    assert (classify(error).category, classify(error).http_status) == ("data", 422)


def test_what_else_a_driver_lets_through(make_bench: MakeBench) -> None:
    """It is a mistake of somebody, and nothing that the database has said."""

    def send(bench: Bench) -> None:
        with bench.engine().connect() as connection:
            connection.exec_driver_sql("SELECT %s", ({"one": 1},))

    error = make_bench("PyMySQL").raised(send)
    assert isinstance(error, TypeError)
    assert classify(error).category == "unknown"


def test_a_value_error_of_the_program() -> None:
    """It is none of the database, though a driver's function is below."""

    def fail() -> None:
        raise ValueError("mine")

    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("fail", 0, fail)
        with suppress(sqlite3.OperationalError):
            connection.execute("SELECT fail()")
    with pytest.raises(ValueError, match="mine") as caught:
        fail()
    assert classify(caught.value).category == "unknown"


def test_a_value_that_sqlalchemy_cannot_convert(make_bench: MakeBench) -> None:
    """It is wrong data, while a missing one is a mistake of the program."""
    with make_bench("sqlite3").engine().connect() as connection:
        with pytest.raises(StatementError) as missing:
            connection.execute(select(bindparam("needed")))
    assert classify(missing.value).category == "programming"
    wrong = StatementError("x", "SELECT 1", (), ValueError("no date"))
    assert (classify(wrong).category, classify(wrong).http_status) == ("data", 422)
    other = StatementError("x", "SELECT 1", (), RuntimeError("x"))
    assert classify(other).category == "unknown"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_server_that_is_stopped_and_started_again(make_bench: MakeBench, driver: str) -> None:
    """Lost, refused, and then well again, without anything to be done in between."""
    bench = make_bench(driver)
    server = bench.own_server()
    faults: list[str] = []

    def outage(bench: Bench) -> None:
        with bench.engine(server.url).connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            server.stop()
            for act in (lambda: connection.exec_driver_sql("SELECT 1"), lambda: _again(bench)):
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - it is looked at
                    faults.append(classify(error).category)
        server.start()
        _again(bench)

    def _again(bench: Bench) -> None:
        bench.send("SELECT 1", url=server.url)

    assert bench.raised(outage) is None
    assert faults[0] in {"server_shutdown", "connection_lost"}
    assert faults[1:] == ["connection_refused"]


def test_an_error_without_its_traceback() -> None:
    """SQLAlchemy has no statement while it connects."""
    bare = DBAPIError(None, None, pymysql.OperationalError(2013, "lost"))
    assert classify(bare).category == "connection_refused"
    during = DBAPIError("SELECT 1", None, pymysql.OperationalError(2013, "lost"))
    assert classify(during).category == "connection_lost"
