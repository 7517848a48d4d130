"""What provokes the faults of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, make_url
from sqlalchemy.util import await_only

from .bench import Bench, raw_connection
from .on_servers import TWO_ROWS, Act, sql

DENIED: Final = sqlite3.SQLITE_DENY


def in_driver(bench: Bench, connection: Connection, call: Callable[[Any], Any]) -> None:
    """Give sqlite3's connection to *call*; aiosqlite's lives in a thread of its own."""
    raw = raw_connection(connection)
    if bench.driver == "sqlite3":
        call(raw)
    else:
        await_only(raw._execute(call, raw._conn))


def snapshot_too_old(bench: Bench) -> None:
    """In WAL a reader may not write over what others have written since."""
    with bench.other() as writer, bench.engine().connect() as connection:
        writer.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT * FROM item").all()
        writer.exec_driver_sql(TWO_ROWS)
        connection.exec_driver_sql("INSERT INTO item (name) VALUES ('c')")


def locked(bench: Bench) -> None:
    """Somebody else writes."""
    with bench.other() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        bench.send("PRAGMA busy_timeout = 0", TWO_ROWS)


def interrupted(bench: Bench) -> None:
    """A progress handler, as ``interrupt()`` from another thread."""
    with bench.engine().connect() as connection:
        in_driver(bench, connection, lambda raw: raw.set_progress_handler(lambda: 1, 1))
        connection.exec_driver_sql("SELECT * FROM item, child, parent")


def closed_by_hand(bench: Bench) -> None:
    """Somebody closes the driver's connection under SQLAlchemy's."""
    with bench.engine().connect() as connection:
        in_driver(bench, connection, lambda raw: raw.close())
        connection.exec_driver_sql("SELECT 1")


def refused(bench: Bench) -> None:
    """There is no such folder."""
    bench.send("SELECT 1", url=make_url("sqlite:////nowhere/at/all.sqlite"))


def read_only_file(bench: Bench) -> None:
    """A URI may ask for it."""
    bench.send(TWO_ROWS, url=make_url(f"sqlite:///file:{bench.url.database}?mode=ro&uri=true"))


def no_database(bench: Bench) -> None:
    """A text file."""
    path = bench.directory / "text.sqlite"
    path.write_text("This is a text file, and by no means a database. " * 9)
    bench.send("SELECT * FROM item", url=make_url(f"sqlite:///{path}"))


def damaged(bench: Bench) -> None:
    """A database whose second page was overwritten."""
    path = Path(str(bench.url.database))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    bench.send("SELECT * FROM item")


def not_authorized(bench: Bench) -> None:
    """An authorizer says no."""
    with bench.engine().connect() as connection:
        in_driver(bench, connection, lambda raw: raw.set_authorizer(lambda *_: DENIED))
        connection.exec_driver_sql("SELECT * FROM item")


def too_big_a_number(bench: Bench) -> None:
    """The driver refuses it with Python's own ``OverflowError``."""
    with bench.engine().connect() as connection:
        connection.exec_driver_sql("SELECT ?", (2**70,))


PROVOKED: Final[Mapping[str, Mapping[str, Act]]] = {
    "data": {
        "wrong type": sql("INSERT INTO item (id, name, amount) VALUES ('x', 'x', 0)"),
        "too long": sql("SELECT zeroblob(2000000000)"),
        "out of range": too_big_a_number,
    },
    "serialization_failure": {"changed since it was read": snapshot_too_old},
    "lock_timeout": {"somebody writes": locked},
    "cancelled": {"interrupted": interrupted},
    "connection_lost": {"closed by hand": closed_by_hand},
    "connection_refused": {"no such folder": refused},
    "read_only": {"query_only": sql("PRAGMA query_only = 1", TWO_ROWS), "mode=ro": read_only_file},
    "disk_full": {
        "max_page_count": sql(
            "PRAGMA max_page_count = 1", "CREATE TABLE big AS SELECT zeroblob(100000)"
        )
    },
    "corrupt": {"no database": no_database, "damaged file": damaged},
    "permission": {"authorizer": not_authorized},
    "unknown": {
        "raised by a trigger": sql(
            "CREATE TRIGGER no BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'no'); END",
            TWO_ROWS,
        )
    },
}
