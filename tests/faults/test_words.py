"""What is read from a message, because libpq gives no code for a connection that was not made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import URL

from flask_safesession import classify
from tests.servers import CONNECTIONS

from .bench import DRIVERS, Bench, dialect_of
from .conftest import MakeBench

POSTGRESQL = [each for each in DRIVERS if dialect_of(each) == "postgresql"]

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"password": "wrong"}, "permission"),
    "no password": ({"password": ""}, "permission"),
    "no such role": ({"username": "nobody"}, "permission"),
    "may not log in": ({"username": "pg_monitor"}, "permission"),
    "no such database": ({"database": "nowhere"}, "programming"),
    "not this database": ({"username": "one", "password": "x", "database": "closed"}, "permission"),
    "limit of the role": ({"username": "empty", "password": "x"}, "too_many_connections"),
    "limit of the database": (
        {"username": "one", "password": "x", "database": "full"},
        "too_many_connections",
    ),
}


@contextmanager
def _roles(bench: Bench) -> Iterator[URL]:
    """The server with its roles and databases, for one test."""
    url = bench.own_server().url
    made = {"ROLE": ("one", "empty"), "DATABASE": ("closed", '"full"')}
    with bench.other(url) as other:
        other.exec_driver_sql("CREATE ROLE one LOGIN PASSWORD 'x'")
        other.exec_driver_sql("CREATE ROLE empty LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
        other.exec_driver_sql("CREATE DATABASE closed")
        other.exec_driver_sql("REVOKE ALL ON DATABASE closed FROM public")
        other.exec_driver_sql('CREATE DATABASE "full" CONNECTION LIMIT 0')
        try:
            yield url
        finally:
            for kind, names in reversed(made.items()):
                for name in names:
                    other.exec_driver_sql(f"DROP {kind} {name}")


def _refusal(bench: Bench, url: URL) -> str:
    error = bench.raised(lambda bench: bench.send("SELECT 1", url=url))
    assert error is not None
    return classify(error).category


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_refusals(make_bench: MakeBench, driver: str) -> None:
    """Asyncpg has codes for them, and they mean the same."""
    bench = make_bench(driver)
    found = {}
    with _roles(bench) as url:
        for name, (change, _) in REFUSALS.items():
            found[name] = _refusal(bench, url.set(**change))
    assert found == {name: category for name, (_, category) in REFUSALS.items()}


@pytest.mark.parametrize("driver", POSTGRESQL)
def test_the_slots_of_superusers(make_bench: MakeBench, driver: str) -> None:
    """PostgreSQL says something else where only those are left."""
    bench = make_bench(driver)
    with _roles(bench) as url:
        mine = url.set(username="one", password="x")
        with ExitStack() as stack:
            for _ in range(CONNECTIONS - 2):  # one is reserved, and one is the administrator's
                stack.enter_context(bench.other(mine))
            assert _refusal(bench, mine) == "too_many_connections"


WORDS = {
    psycopg.OperationalError('FATAL:  no pg_hba.conf entry for host "::1"'): "permission",
    psycopg.OperationalError("consuming input failed: EOF detected"): "connection_lost",
    psycopg.InterfaceError("the cursor is closed"): "programming",
    psycopg.InterfaceError("the connection is closed"): "connection_lost",
    psycopg.DatabaseError("something else"): "unknown",
    psycopg.DataError("cannot be sent"): "data",
    pymysql.InternalError("Packet sequence number wrong - got 1 expected 2"): "connection_lost",
    pymysql.ProgrammingError("Cursor closed"): "programming",
    pymysql.OperationalError("something else"): "unknown",
}


@pytest.mark.parametrize("error", WORDS, ids=str)
def test_an_error_without_a_code(error: Exception) -> None:
    """The drivers' own, which no server has sent."""
    assert classify(error).category == WORDS[error]
