"""A TCP proxy in front of a database server, which cuts the line exactly before, during or after a COMMIT."""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, Literal, cast

from sqlalchemy import make_url

from .databases import Database

Cut = Literal["before", "during", "after", "silence before", "silence after", "none"]
"""What happens to a COMMIT: it never reaches the server; it does, and the line is closed at once; its answer is thrown
away; or the line stays open and nothing passes any more, before or after it has reached the server."""

COMMIT: Final = re.compile(rb"Q\x00\x00\x00[\x0b\x0c]COMMIT;?\x00|\x03(?:COMMIT|commit)\Z")
"""The packets of PostgreSQL's simple query and MySQL's COM_QUERY."""

_BUSY: Final = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'",
    "mariadb": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id() AND command NOT IN ('Sleep', 'Binlog Dump')",
}


class Proxy:
    """A proxy on a free port; all its connections are served by one thread.

    Attributes:
        sent: What the clients have sent, packet by packet.

    Args:
        host: Where the server listens.
        port: The same.
        pattern: Which packets of a client are cut.
    """

    def __init__(self, host: str, port: int, pattern: re.Pattern[bytes] = COMMIT) -> None:
        self._server = (host, port)
        self._pattern = pattern
        self._cuts: list[Cut] = []
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._silent: list[socket.socket] = []
        self.sent: list[bytes] = []
        self._stopped, self._stop = socket.socketpair()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        for each in (self._listener, self._stopped):
            self._selector.register(each, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where the proxy listens."""
        return int(self._listener.getsockname()[1])

    def arm(self, *cuts: Cut) -> None:
        """Do *cuts* to the COMMITs that come next."""
        self._cuts[:] = cuts

    def refuse(self) -> None:
        """Let nobody in any more."""
        self._listener.close()

    def close(self) -> None:
        """Close every connection."""
        self._stop.send(b"x")
        self._thread.join()
        for each in (*self._peers, *self._silent, self._listener, self._stopped, self._stop):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                ready = cast("socket.socket", key.fileobj)
                if ready is self._stopped:
                    return
                if ready is self._listener:
                    self._accept()
                elif ready in self._peers:
                    with suppress(OSError):
                        self._pass_on(ready)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(self._server)
        except OSError:  # it is down, and so is the line
            client.close()
            return
        self._clients.add(client)
        self._peers.update({client: server, server: client})
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(each, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        if source in self._clients:
            self.sent.append(data)
        if not data:
            self._close(source)
        elif source in self._clients and self._cuts and self._pattern.search(data):
            self._cut(source, data, self._cuts.pop(0))
        else:
            self._peers[source].sendall(data)

    def _cut(self, client: socket.socket, data: bytes, cut: Cut) -> None:
        server = self._peers[client]
        if cut not in ("before", "silence before"):
            server.sendall(data)
        if cut == "none":
            return
        if cut == "after":
            server.recv(65536)
        if cut.startswith("silence"):
            self._forget(client)
            self._silent += [client, server]
        else:
            self._close(client)

    def _close(self, end: socket.socket) -> None:
        for each in self._forget(end):
            each.close()

    def _forget(self, end: socket.socket) -> list[socket.socket]:
        ends = [end, self._peers[end]]
        for each in ends:
            self._selector.unregister(each)
            del self._peers[each]
            self._clients.discard(each)
        return ends


@contextmanager
def proxied(
    database: Database, pattern: re.Pattern[bytes] = COMMIT
) -> Iterator[tuple[Database, Proxy]]:
    """*database* by way of a proxy; what its observers read goes past it."""
    url = make_url(database.url)
    proxy = Proxy(str(url.host), int(url.port or 0), pattern)
    via, second = (
        make_url(each).set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        for each in (database.url, database.second_url)
    )
    try:
        yield replace(database, url=via, second_url=second), proxy
    finally:
        proxy.close()
        _wait_for_commits(database)


def _wait_for_commits(database: Database) -> None:
    """A COMMIT whose line was cut may still be at work, and would store its row in the next test."""
    if database.observer is None or database.dialect not in _BUSY:
        return
    end = time.monotonic() + 10
    with database.observer.connect() as connection:
        while connection.exec_driver_sql(_BUSY[database.dialect]).scalar():
            assert time.monotonic() < end, "a transaction is still open"
            threading.Event().wait(0.01)
