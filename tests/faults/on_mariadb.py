"""What provokes the faults of MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from .bench import Bench, raw_connection, wait_for
from .on_servers import (
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

SLEEP: Final = "SELECT sleep(20)"


def _number(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT connection_id()").scalar_one())


def _is_busy(connection: Connection) -> str:
    process: int = raw_connection(connection).thread_id()
    return f"SELECT count(*) FROM information_schema.processlist WHERE id = {process} AND state = 'Updating'"


def too_many_of_one_user(bench: Bench) -> None:
    """The user may have one only."""
    server = bench.own_server()
    user = f"one_{bench.driver}"
    with bench.other(server.url) as root:
        root.exec_driver_sql(f"CREATE USER {user}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
        root.exec_driver_sql(f"GRANT SELECT ON own.* TO {user}@'127.0.0.1'")
    url = server.url.set(username=user)
    with bench.other(url):
        bench.send("SELECT 1", url=url)


def shutdown(bench: Bench) -> None:
    """The server is shut down while a statement runs, and started again."""
    server = bench.own_server()
    with bench.engine(server.url).connect() as connection:
        number = _number(connection)

        def shut_down() -> None:
            with bench.other(server.url) as other:
                busy = "SELECT count(*) FROM information_schema.processlist"
                wait_for(other, f"{busy} WHERE id = {number} AND state = 'User sleep'")
            server.stop()
            server.start()

        with bench.meanwhile(shut_down):
            connection.exec_driver_sql(SLEEP)


def read_only_server(bench: Bench) -> None:
    """1290: a replica, for example."""
    server = bench.own_server()
    with bench.other(server.url) as root:
        root.exec_driver_sql("CREATE TABLE IF NOT EXISTS seen (id INT)")
        root.exec_driver_sql("SET GLOBAL read_only = ON")
        try:
            bench.send("INSERT INTO seen VALUES (1)", url=server.url.set(username="app"))
        finally:
            root.exec_driver_sql("SET GLOBAL read_only = OFF")


def corrupt(bench: Bench) -> None:
    """The index file of a MyISAM table is no index."""
    server = bench.own_server()
    table = f"damaged_{bench.driver.lower()}"
    with bench.other(server.url) as root:
        root.exec_driver_sql(f"CREATE TABLE {table} (id INT PRIMARY KEY) ENGINE=MyISAM")
        root.exec_driver_sql(f"INSERT INTO {table} VALUES (1)")
        root.exec_driver_sql(f"FLUSH TABLE {table}")
    Path(server.data, "own", f"{table}.MYI").write_bytes(b"\xff" * 2048)
    bench.send(f"SELECT * FROM {table} WHERE id = 1", url=server.url)


def killed(bench: Bench, send: Callable[[Connection], Any], **options: Any) -> None:
    """An administrator ends the connection, and then the driver sends something."""
    with bench.engine(**options).connect() as connection:
        number = _number(connection)
        with bench.other() as other:
            other.exec_driver_sql(f"KILL {number}")
        send(connection)


def _write(connection: Connection) -> None:
    connection.exec_driver_sql(TWO_ROWS)


PROVOKED: Final[Mapping[str, Mapping[str, Act]]] = {
    "data": {
        "too long": sql("INSERT INTO item (name) VALUES (repeat('x', 51))"),
        "out of range": sql("INSERT INTO item (name, amount) VALUES ('x', 99999999999)"),
        "bad text": sql("INSERT INTO item (name, amount) VALUES ('x', 'x')"),
    },
    "not_null": {"no default": sql("INSERT INTO item (amount) VALUES (0)")},
    "serialization_failure": {
        "changed since it was read": changed_since("SET SESSION innodb_snapshot_isolation = ON")
    },
    "deadlock": {
        "two transactions": deadlock(
            # The one that has changed less is the victim.
            [],
            ["INSERT INTO parent (name) SELECT seq FROM seq_1_to_99"],
            _is_busy,
        )
    },
    "lock_timeout": {"NOWAIT": locked("SELECT * FROM item WHERE name = 'a' FOR UPDATE NOWAIT")},
    "statement_timeout": {
        "max_statement_time": sql(f"SET STATEMENT max_statement_time = 0.01 FOR {SLEEP}")
    },
    "cancelled": {"KILL QUERY": sql("KILL QUERY connection_id()")},
    "connection_lost": {
        "KILL": lambda bench: killed(bench, _write),
        "closed by hand": closed_by_hand,
        "stopped and restarted": shutdown,
    },
    "connection_refused": {"nobody listens": refused},
    "too_many_connections": {
        "max_connections": lambda bench: all_taken(
            bench, bench.own_server().url.set(username="app")
        ),
        "max_user_connections": too_many_of_one_user,
    },
    "read_only": {
        "read-only transaction": sql("SET TRANSACTION READ ONLY", TWO_ROWS),
        "read-only server": read_only_server,
    },
    "disk_full": {
        "full table": sql(
            "SET SESSION max_heap_table_size = 16384",
            "CREATE TEMPORARY TABLE small (x CHAR(250)) ENGINE=MEMORY",
            "INSERT INTO small SELECT 'x' FROM seq_1_to_9999",
        )
    },
    "corrupt": {"damaged file": corrupt},
    "permission": {
        "not let in": lambda bench: bench.send("", url=bench.url.set(username="nobody")),
        "no right": lambda bench: bench.send(
            "DROP TABLE nothing", url=bench.own_server().url.set(username="app")
        ),
    },
    "commit_unknown": {
        "killed": lambda bench: killed(bench, Connection.commit),
        "killed in AUTOCOMMIT": lambda bench: killed(bench, _write, isolation_level="AUTOCOMMIT"),
    },
    "unknown": {"SIGNAL": sql("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 30001")},
}
