"""Whether PostgreSQL has stored a transaction whose COMMIT got no answer: asked on another connection, by its id.

See PostgreSQL, "Transaction ID and Snapshot Information Functions". MariaDB and MySQL know nothing of the kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias

from sqlalchemy import Engine
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import Pool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from .daemons import start_daemon
from .ledger import Ledger

__all__ = ["Ticket", "draw_ticket", "is_committed"]

Answers: TypeAlias = "queue.SimpleQueue[bool]"

_FIRST_VERSION = (13,)
_PAUSE = 0.1  # seconds
_SERVER = "_safesession_server"

_ASK_ID = "SELECT pg_current_xact_id_if_assigned()::text"
# After a failover to a server that had not seen everything, the same id may be another transaction's.
_ASK_SERVER = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) || system_identifier FROM pg_control_system()"
_ASK_STATUS = "SELECT pg_xact_status('{}'::xid8)"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What tells a transaction after its connection is gone.

    Attributes:
        xid: Its id; None where it has written nothing.
        server: The history of writes that the id belongs to; None where the server does not tell.
    """

    xid: str | None
    server: str | None = None


def draw_ticket(dialect: Dialect, fairy: PoolProxiedConnection, ledger: Ledger) -> Ticket | None:
    """Ask for the id before COMMIT is sent; None where nobody can tell, or the session has only read."""
    if dialect.name != "postgresql" or (dialect.server_version_info or ()) < _FIRST_VERSION:
        return None
    reads = ledger.owner is not None and ledger.owner.options.read_only
    if reads or not (ledger.written or ledger.unclear):
        return None
    xid = _scalar(fairy, _ASK_ID)
    return Ticket(xid) if xid is None else Ticket(xid, _server(fairy))


def is_committed(ticket: Ticket, engine: Engine, seconds: float) -> bool | None:
    """Whether the transaction of *ticket* is stored; None if that cannot be learned within *seconds*.

    The question is put by another thread or task: an attempt to connect may take minutes.
    """
    if ticket.xid is None:
        return False
    if ticket.server is None:
        return None
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    search = _search_in_loop if engine.dialect.is_async else _search_in_thread
    with contextlib.suppress(queue.Empty):
        return answers.get(timeout=search(ticket, engine.pool, seconds, answers))
    return None


def _search_in_thread(ticket: Ticket, pool: Pool, seconds: float, answers: Answers) -> float:
    """Let a thread ask; return how long its answer is waited for."""
    never = threading.Event()

    def search() -> None:
        _search(ticket, pool, monotonic() + seconds, answers, lambda: never.wait(_PAUSE))

    return seconds if start_daemon("safesession-fate", search) else 0


def _search_in_loop(ticket: Ticket, pool: Pool, seconds: float, answers: Answers) -> float:
    """Ask beside the other tasks of the event loop, whose connections no other thread can use."""

    def pause() -> None:
        await_only(asyncio.sleep(_PAUSE))

    search = greenlet_spawn(_search, ticket, pool, monotonic() + seconds, answers, pause)
    with contextlib.suppress(asyncio.TimeoutError):
        await_only(asyncio.wait_for(search, seconds))
    return 0


def _search(
    ticket: Ticket,
    exhausted: Pool,
    deadline: float,
    answers: Answers,
    pause: Callable[[], object],
) -> None:
    """Ask until there is an answer: COMMIT may still be under way, and the server about to come back."""
    pool = exhausted.recreate()
    while monotonic() < deadline:
        with contextlib.suppress(Exception):
            status = _status(ticket, pool)
            if status in ("committed", "aborted"):
                answers.put(status == "committed")
                return
        pause()


def _status(ticket: Ticket, pool: Pool) -> str | None:
    fairy = pool.connect()
    try:
        if _scalar(fairy, _ASK_SERVER) != ticket.server:
            return None
        return _scalar(fairy, _ASK_STATUS.format(ticket.xid))
    finally:
        fairy.invalidate()


def _server(fairy: PoolProxiedConnection) -> str | None:
    """Asked once for each connection, which ends with its server."""
    known = fairy.info
    if _SERVER not in known:
        known[_SERVER] = _ask_server(fairy)
    server: str | None = known[_SERVER]
    return server


def _ask_server(fairy: PoolProxiedConnection) -> str | None:
    cursor = fairy.cursor()
    cursor.execute("SAVEPOINT safesession_server")
    # Some services that speak PostgreSQL have no such function.
    with contextlib.suppress(Exception):
        server = _scalar(fairy, _ASK_SERVER)
        cursor.execute("RELEASE SAVEPOINT safesession_server")
        return server
    cursor.execute("ROLLBACK TO SAVEPOINT safesession_server")
    return None


def _scalar(fairy: PoolProxiedConnection, question: str) -> str | None:
    cursor: Any = fairy.cursor()
    try:
        cursor.execute(question)
        value: str | None = cursor.fetchone()[0]
    finally:
        cursor.close()
    return value
