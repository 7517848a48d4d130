"""What provokes a fault on PostgreSQL as on MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from sqlalchemy import URL, Connection

from tests.servers import CONNECTIONS

from .bench import Bench, raw_connection, wait_for

Act = Callable[[Bench], None]

SET_BOTH: Final = (
    "UPDATE item SET amount = 1 WHERE name = 'a'",
    "UPDATE item SET amount = 1 WHERE name = 'b'",
)
TWO_ROWS: Final = "INSERT INTO item (name, amount) VALUES ('a', 0), ('b', 0)"


def sql(*statements: str) -> Act:
    """Send *statements*, the last of which fails."""
    return lambda bench: bench.send(*statements)


def changed_since(snapshot: str) -> Act:
    """Somebody changes a row since the snapshot that *snapshot* asks for."""

    def act(bench: Bench) -> None:
        with bench.other() as other, bench.engine().connect() as connection:
            other.exec_driver_sql(TWO_ROWS)
            connection.exec_driver_sql(snapshot)
            connection.exec_driver_sql("SELECT * FROM item").all()
            other.exec_driver_sql(SET_BOTH[0])
            connection.exec_driver_sql(SET_BOTH[0])

    return act


def locked(*statements: str) -> Act:
    """Somebody holds the row that *statements* want."""

    def act(bench: Bench) -> None:
        with bench.other() as writer, bench.other(level="READ COMMITTED") as holder:
            writer.exec_driver_sql(TWO_ROWS)
            holder.exec_driver_sql(SET_BOTH[0])
            bench.send(*statements)

    return act


def deadlock(mine: Sequence[str], theirs: Sequence[str], waits: Callable[[Connection], str]) -> Act:
    """Two transactions wait for each other; what each sends first decides who is the victim.

    Args:
        mine: What the victim sends first.
        theirs: What the other one sends first.
        waits: Makes the query that counts the other one as soon as it waits.
    """

    def act(bench: Bench) -> None:
        with bench.other() as watcher, bench.other(level="READ COMMITTED") as other:
            watcher.exec_driver_sql(TWO_ROWS)
            with bench.engine().connect() as connection:
                for statement in (*mine, SET_BOTH[0]):
                    connection.exec_driver_sql(statement)
                for statement in (*theirs, SET_BOTH[1]):
                    other.exec_driver_sql(statement)
                query = waits(other)
                with bench.meanwhile(lambda: _send(other, SET_BOTH[0])):
                    wait_for(watcher, query)
                    try:
                        connection.exec_driver_sql(SET_BOTH[1])
                    finally:
                        connection.rollback()

    return act


def _send(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)


def closed_by_hand(bench: Bench) -> None:
    """Somebody closes the driver's connection under SQLAlchemy's."""
    with bench.engine().connect() as connection:
        raw = raw_connection(connection)
        if bench.driver == "asyncpg":
            raw.terminate()
        else:
            raw.close()
        connection.exec_driver_sql("SELECT 1")


def refused(bench: Bench) -> None:
    """Nobody listens."""
    bench.send("SELECT 1", url=bench.url.set(host="127.0.0.1", port=1))


def all_taken(bench: Bench, url: URL) -> None:
    """The server takes a few connections only."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(bench.other(url))
        bench.send("SELECT 1", url=url)
