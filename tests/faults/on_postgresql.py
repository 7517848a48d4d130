"""What provokes the faults of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flask import Flask
from sqlalchemy import Connection, text
from sqlalchemy.orm import sessionmaker

from flask_safesession import SafeSession, session_manager

from .bench import Bench, wait_for
from .on_servers import (
    SET_BOTH,
    TWO_ROWS,
    Act,
    all_taken,
    changed_since,
    closed_by_hand,
    deadlock,
    locked,
    refused,
    sql,
)

RANGE: Final = "INSERT INTO ranges VALUES ('[1,3)')"


def _pid(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def _waits(connection: Connection) -> str:
    return f"SELECT count(*) FROM pg_locks WHERE pid = {_pid(connection)} AND NOT granted"


def asyncpg_timeout(bench: Bench) -> None:
    """Asyncpg's own limit, which raises Python's ``TimeoutError``."""
    engine = bench.engine(connect_args={"command_timeout": 0.01})
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(20)")


def scope_timeout(bench: Bench) -> None:
    """57014, in a scope that has set a limit."""
    app = Flask("limited")
    SafeSession(app, db=sessionmaker(bench.engine()))
    with app.app_context(), session_manager(timeout=0.02) as session:
        session.execute(text("SELECT pg_sleep(20)"))


def idle_too_long(bench: Bench) -> None:
    """25P03: the server ends a connection that does nothing in its transaction."""
    with bench.engine().connect() as connection, bench.other() as other:
        process = _pid(connection)
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 1")
        gone = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {process}"
        wait_for(other, gone)
        connection.exec_driver_sql("SELECT 1")


def corrupt(bench: Bench) -> None:
    """The file of a table holds what is no page."""
    server = bench.own_server()
    table = f"damaged_{bench.driver}"
    with bench.other(server.url) as other:
        other.exec_driver_sql(f"CREATE TABLE {table} (id INT)")
        path = other.exec_driver_sql(f"SELECT pg_relation_filepath('{table}')").scalar_one()
        Path(server.data, path).write_bytes(b"\xff" * 8192)
    bench.send(f"SELECT * FROM {table}", url=server.url)


def commit_unknown(bench: Bench) -> None:
    """The connection is ended behind the back of the driver, which then sends COMMIT."""
    with bench.engine().connect() as connection:
        process = _pid(connection)
        with bench.other() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({process}, 5000)")
        connection.commit()


def autocommit_unknown(bench: Bench) -> None:
    """In AUTOCOMMIT the statement is the commit."""
    with bench.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


def terminated(bench: Bench) -> None:
    """An administrator ends the connection while a statement runs."""
    with bench.engine().connect() as connection, bench.other() as other:
        process = _pid(connection)

        def terminate() -> None:
            busy = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {process}"
            wait_for(other, f"{busy} AND wait_event = 'PgSleep'")
            other.exec_driver_sql(f"SELECT pg_terminate_backend({process})")

        with bench.meanwhile(terminate):
            connection.exec_driver_sql("SELECT pg_sleep(20)")


def after_an_error(bench: Bench) -> None:
    """Until its end, the transaction takes no more."""
    with bench.engine().connect() as connection:
        for statement in ("SELECT 1 / 0", "SELECT 1"):
            try:
                connection.exec_driver_sql(statement)
            except Exception:
                if statement == "SELECT 1":
                    raise


PROVOKED: Final[Mapping[str, Mapping[str, Act]]] = {
    "exclusion": {
        "overlap": sql(
            "CREATE TEMPORARY TABLE ranges (r int4range, EXCLUDE USING gist (r WITH &&))",
            RANGE,
            RANGE,
        )
    },
    "data": {
        "too long": sql("INSERT INTO item (name) VALUES (repeat('x', 51))"),
        "out of range": sql("INSERT INTO item (name, amount) VALUES ('x', 99999999999)"),
        "bad text": sql("SELECT 'x'::int"),
        "division by zero": sql("SELECT 1 / 0"),
    },
    "serialization_failure": {
        "changed since it was read": changed_since(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        )
    },
    "deadlock": {
        "two transactions": deadlock(
            # The one that looks first is the victim.
            ["SET LOCAL deadlock_timeout = '10ms'"],
            ["SET LOCAL deadlock_timeout = '15s'"],
            _waits,
        )
    },
    "lock_timeout": {"lock_timeout": locked("SET LOCAL lock_timeout = 10", SET_BOTH[0])},
    "cancelled": {
        "pg_cancel_backend": sql("SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(9)")
    },
    "connection_lost": {"idle in transaction": idle_too_long, "closed by hand": closed_by_hand},
    "connection_refused": {"nobody listens": refused},
    "too_many_connections": {
        "max_connections": lambda bench: all_taken(bench, bench.own_server().url)
    },
    "read_only": {"read-only transaction": sql("SET TRANSACTION READ ONLY", TWO_ROWS)},
    "transaction_aborted": {
        "after an error": after_an_error,
    },
    "disk_full": {"COPY to /dev/full": sql("COPY (SELECT repeat('x', 99999)) TO '/dev/full'")},
    "corrupt": {"damaged file": corrupt},
    "permission": {
        "no right": sql("SET LOCAL ROLE pg_read_all_stats", TWO_ROWS),
        "not let in": lambda bench: bench.send("", url=bench.url.set(username="nobody")),
    },
    "commit_unknown": {"killed": commit_unknown, "killed in AUTOCOMMIT": autocommit_unknown},
    "unknown": {"raised by a function": sql("DO $$BEGIN RAISE EXCEPTION 'x'; END$$")},
}
