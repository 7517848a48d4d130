"""What goes wrong around the workers: the server, the line to it, and the processes themselves."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from tests.proxies import Proxy

from .bank import PLAIN
from .rivals import Rival

__all__ = ["Line", "ServerWeather", "SqliteWeather", "Weather"]

_VICTIMS: Final = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = database()",
}
_KILL: Final = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


class Weather(Protocol):
    """Puts in one fault after another."""

    def strike(self, chosen: random.Random) -> str | None:
        """Put in a fault; return its name, or None where it could not be put in."""
        ...


class Line(Proxy):
    """The line between the app and the server.

    Attributes:
        delay: Seconds that each packet takes.
    """

    delay = 0.0

    def __init__(self, host: str, port: int) -> None:
        self._is_torn = False
        self._calm = threading.Event()
        super().__init__(host, port)

    def tear(self) -> None:
        """Cut all connections, when the next packet comes."""
        self._is_torn = True

    def _pass_on(self, source: socket.socket) -> None:
        if self.delay:
            self._calm.wait(self.delay)
        self.sent.clear()
        if self._is_torn:
            self._is_torn = False
            for client in tuple(self._clients):
                self._close(client)
        else:
            super()._pass_on(source)


class ServerWeather:
    """The faults of a server and of the line to it."""

    def __init__(
        self, server: Any, line: Line, kill_worker: Callable[[random.Random], None]
    ) -> None:
        self._server = server
        self._line = line
        self._url: URL = server.url
        self._kill_worker = kill_worker
        self._administrator = sa.create_engine(
            self._url,
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={**PLAIN[self._url.get_backend_name()]},
        )
        rival = Rival(self._url)
        self._pause = threading.Event()
        self._faults: Mapping[str, tuple[int, Callable[[random.Random], object]]] = {
            "backend": (40, self._kill_backend),
            "commit": (40, self._cut_commit),
            "cut": (10, self._cut_all),
            "latency": (10, self._be_slow),
            "worker": (6, kill_worker),
            "restart": (2, self._restart),
            "deadlock": (16, rival.lock_across),
            "change": (8, rival.change_ahead),
        }

    def strike(self, chosen: random.Random) -> str | None:
        """Put in one of them; a commit is cut when the next one comes."""
        names = list(self._faults)
        [name] = chosen.choices(names, [self._faults[each][0] for each in names])
        try:
            self._faults[name][1](chosen)
        except (SQLAlchemyError, OSError):  # another one is in its way
            return None
        return name

    def _kill_backend(self, chosen: random.Random) -> None:
        with self._administrator.connect() as connection:
            name = connection.dialect.name
            numbers = connection.exec_driver_sql(_VICTIMS[name]).scalars().all()
            if numbers:
                connection.exec_driver_sql(_KILL[name].format(chosen.choice(numbers)))

    def _cut_commit(self, chosen: random.Random) -> None:
        self._line.arm(chosen.choice(("before", "during", "after")))

    def _cut_all(self, _: random.Random) -> None:
        self._line.tear()

    def _be_slow(self, chosen: random.Random) -> None:
        self._line.delay = chosen.uniform(0.001, 0.01)
        self._pause.wait(0.5)
        self._line.delay = 0.0

    def _restart(self, _: random.Random) -> None:
        self._server.stop()
        self._pause.wait(0.3)
        self._server.start()


class SqliteWeather:
    """The faults of a file: somebody else holds its lock, or a process is gone."""

    def __init__(self, file: Path, kill_worker: Callable[[random.Random], None]) -> None:
        self._engine = sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool)
        self._kill_worker = kill_worker
        self._pause = threading.Event()

    def strike(self, chosen: random.Random) -> str | None:
        """Put in one of them."""
        if chosen.random() < 0.1:
            self._kill_worker(chosen)
            return "worker"
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                self._pause.wait(chosen.uniform(0.05, 0.7))  # a unit waits for half a second
                connection.rollback()
        except SQLAlchemyError:
            return None
        return "lock"
