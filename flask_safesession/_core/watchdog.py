"""A COMMIT without an answer ends: its connection is shut down from outside, as if the line had broken.

No driver has a time limit for COMMIT alone, and psycopg 3 waits past TCP's own keep-alives. One thread looks after all
COMMITs of the process, and is there only while there are some.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from sqlalchemy.pool import PoolProxiedConnection

from .lookout import Look, Lookout

__all__ = ["SOCKETS", "socket_of", "watchdog"]


def _fileno(raw: Any) -> int:
    number: int = getattr(raw, "driver_connection", raw).fileno()
    return number


def _transport_fileno(raw: Any) -> int:
    return _transport(raw.driver_connection._transport)  # noqa: SLF001 - it has no public name


def _writer_fileno(raw: Any) -> int:
    return _transport(raw.driver_connection._writer)  # noqa: SLF001 - the same


def _transport(transport: Any) -> int:
    number: int = transport.get_extra_info("socket").fileno()
    return number


def _pymysql_fileno(raw: Any) -> int:
    number: int = raw._sock.fileno()  # noqa: SLF001 - it has no public name
    return number


SOCKETS: Mapping[str, Callable[[Any], int]] = {
    "psycopg": _fileno,
    "psycopg2": _fileno,
    "mysqldb": _fileno,
    "pymysql": _pymysql_fileno,
    "asyncpg": _transport_fileno,
    "asyncmy": _transport_fileno,
    "aiomysql": _writer_fileno,
}
"""The drivers whose COMMIT can be ended, each with the number of its connection's socket."""


def socket_of(driver: str, raw: Any) -> int | None:
    """The number of the socket of *raw*; None where it is closed, which the driver says at COMMIT."""
    try:
        return SOCKETS[driver](raw)
    except Exception:  # noqa: BLE001 - each driver has an error of its own for it
        return None


class Watchdog(Lookout):
    """Ends the connections whose COMMIT has had no answer in time."""

    def __init__(self) -> None:
        super().__init__("safesession-commits", self.end_overdue)

    def reset(self) -> None:
        """Begin anew, in a forked child: those that wait for COMMITs stay in the parent."""
        super().reset()
        self._waiting: dict[PoolProxiedConnection, tuple[float, int]] = {}
        self._cutting = threading.Lock()

    def stop(self) -> None:
        """End the thread before a fork, unless a COMMIT is under way: there are several threads then anyway."""
        if not self._waiting:
            super().stop()

    def watch(self, fairy: PoolProxiedConnection, number: int, seconds: float) -> None:
        """Give the COMMIT that is about to be sent *seconds*; each call is followed by :meth:`release`.

        Args:
            fairy: The connection.
            number: That of its socket; mysqlclient tells it to no other thread.
            seconds: How long its answer may take.
        """
        self._waiting[fairy] = (monotonic() + seconds, number)
        if not self.awake:
            self.wake()

    def release(self, fairy: PoolProxiedConnection) -> bool:
        """Return whether the connection was ended meanwhile; from here on it is not."""
        if self._waiting.pop(fairy, None) is not None:
            return False
        with self._cutting:  # until the thread has let go of its socket
            return True

    def end_overdue(self) -> Look:
        """End what is overdue."""
        waiting, now = self._waiting.copy(), monotonic()
        for fairy, (deadline, number) in waiting.items():
            if deadline <= now:
                self._end(fairy, number)
        return Look(idle=not waiting)

    def _end(self, fairy: PoolProxiedConnection, number: int) -> None:
        with self._cutting:
            if self._waiting.pop(fairy, None) is not None:
                _shut_down(number)


def _shut_down(number: int) -> None:
    """End the line in both directions; closing it is left to the thread that waits for it."""
    with contextlib.suppress(OSError):  # it may break by itself at the same moment
        # A double, because the driver may let go of the number; its family does not matter here.
        double = socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM)
        with double:
            double.shutdown(socket.SHUT_RDWR)


watchdog = Watchdog()
