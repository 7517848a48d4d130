"""What ``test_gevent.py`` starts: ``python -m gevent.monkey --module tests.greenlets <scenario> …``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer
from sqlalchemy import event, text

from flask_safesession import (
    AppContextManager,
    current_scope,
    handoff,
    on_commit,
    on_rollback,
    on_unknown,
    session_manager,
    stream_with_session,
)

from .kit import Kit
from .workers import worker_kit

GREENLETS = 200
POOL = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 30}
SLEEP = {"postgresql": "SELECT pg_sleep(0.02)", "mariadb": "SELECT SLEEP(0.02)"}
NUMBER = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}
WORDS = {"statement": b"hold this", "commit": b"COMMIT", "undo": b"max_statement_time"}
SOON = 1.0  # seconds


class Proxy:
    """Stands before the database server, and keeps its replies back from a message with a certain word on."""

    def __init__(self, kit: Kit) -> None:
        url = kit.engine.url
        self._address = (url.host, url.port)
        self.word = b"no word yet"  # drivers send COMMIT and AUTOCOMMIT when they connect
        self.held = Event()
        self.free = Event()
        self.free.set()
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        event.listen(kit.engine, "do_connect", self._redirect)

    def _redirect(self, dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> None:
        parameters.update(host="127.0.0.1", port=self._server.server_port)

    def _serve(self, client: Any, _: Any) -> None:
        server = socket.create_connection(self._address)
        gevent.spawn(self._pump, server, client)
        while data := client.recv(65536):
            if self.word in data:
                self.free.clear()
            server.sendall(data)
            if not self.free.is_set():
                self.held.set()
        server.close()

    def _pump(self, server: Any, client: Any) -> None:
        try:
            while data := server.recv(65536):
                self.free.wait()
                client.sendall(data)
        except OSError:
            pass  # the client has gone away

    def stop(self) -> None:
        """Let everything through, and end."""
        self.free.set()
        self._server.stop()


def many(kit: Kit) -> dict[str, Any]:
    """Greenlets in great number on a small pool, each with a context and a scope of its own."""
    at_work: list[int] = []
    peak: list[int] = []

    def work(number: int) -> None:
        with AppContextManager(kit.app), session_manager() as session:
            session.add(kit.Item(name=f"{number:03}"))
            session.flush()
            at_work.append(number)
            peak.append(len(at_work))
            session.execute(text(SLEEP[kit.database.dialect]))
            at_work.remove(number)

    greenlets = [gevent.spawn(work, number) for number in range(GREENLETS)]
    gevent.joinall(greenlets, timeout=50)
    errors = [repr(each.exception) for each in greenlets if each.exception is not None]
    return {"stored": len(kit.names()), "peak": max(peak), "errors": errors}


def interrupted(kit: Kit, how: str, where: str) -> dict[str, Any]:
    """A greenlet that is interrupted while it waits for the reply to a statement or to COMMIT."""
    proxy = Proxy(kit)
    hooks: list[str] = []
    scopes: list[Any] = []
    numbers: list[int] = []

    timer = gevent.Timeout(SOON)

    def work() -> None:
        limit = 30 if where == "undo" else None
        with AppContextManager(kit.app), session_manager(timeout=limit) as session:
            scopes.append(current_scope())
            for register in (on_commit, on_rollback, on_unknown):
                register(hooks.append, register.__name__)
            session.add(kit.Item(name="interrupted"))
            numbers.append(_number(kit))
            proxy.word = WORDS[where]
            if how == "timeout":
                timer.start()
            session.execute(text("SELECT 'hold this'"))
            if where == "undo":
                raise KeyError

    greenlet = gevent.spawn(work)
    assert proxy.held.wait(20)
    if how == "kill":
        greenlet.kill(timeout=20)
    greenlet.join(20)
    timer.close()
    left = kit.checkedout()
    proxy.word = b"no word any more"
    proxy.free.set()
    error = greenlet.exception or greenlet.value
    return {
        "ended": greenlet.dead,
        "error": type(error).__name__,
        "notes": getattr(error, "__notes__", []),
        "outcome": scopes[0].outcome,
        "hooks": hooks,
        "left": left,
        **_afterwards(kit, proxy, numbers[0]),
    }


def _afterwards(kit: Kit, proxy: Proxy, before: int) -> dict[str, Any]:
    """What the next one finds: a connection of its own, and its own answer."""
    with AppContextManager(kit.app), session_manager() as session:
        answer = session.scalar(text("SELECT 42"))
        fresh = _number(kit) != before
    proxy.stop()
    return {"answer": answer, "fresh": fresh}


def _number(kit: Kit) -> int:
    """The server's number of the connection."""
    return int(kit.db.session.scalar(text(NUMBER[kit.database.dialect])))


def streams(kit: Kit) -> dict[str, Any]:
    """Bodies that are read in turns, each step in a greenlet of its own."""

    def body(name: str) -> Any:
        for _ in range(3):
            kit.db.session.execute(text(SLEEP[kit.database.dialect]))
            yield f"{name}{id(kit.db.session())}"

    with kit.app.app_context():
        bodies = [stream_with_session(body(name)) for name in "abc"]
    rounds = [
        [each.value for each in gevent.joinall([gevent.spawn(next, body) for body in bodies])]
        for _ in range(2)
    ]
    gevent.joinall([gevent.spawn(body.close) for body in bodies], raise_error=True)
    return {"sessions": len({chunk for chunks in rounds for chunk in chunks})}


def shared(kit: Kit) -> dict[str, Any]:
    """A greenlet that uses the session of the one that spawned it."""
    with kit.app.app_context():
        kit.db.session.execute(text(NUMBER[kit.database.dialect]))
        greenlet = gevent.spawn(kit.db.session().commit)
        greenlet.join(20)
        handoff(kit.db.session)
        gevent.spawn(_return, kit.db.session()).get(timeout=20)
        kit.db.session.commit()
    return {"refusal": str(greenlet.exception)}


def _return(session: Any) -> None:
    session.rollback()
    handoff(session)


def loop(kit: Kit) -> dict[str, Any]:
    """A greenlet that uses its session while the event loop of another one seems to run in its thread too."""
    begun, free = Event(), Event()

    async def block() -> None:
        begun.set()
        free.wait()

    def work() -> str:
        with AppContextManager(kit.app):
            kit.db.session.execute(text(NUMBER[kit.database.dialect]))
            other = gevent.spawn(asyncio.run, block())
            begun.wait(20)
            running = asyncio.current_task() is not None
            kit.db.session.commit()
            free.set()
            other.get(timeout=20)
            kit.db.session.commit()
        return f"{running=}"

    return {"work": gevent.spawn(work).get(timeout=20)}


SCENARIOS: dict[str, Callable[..., dict[str, Any]]] = {
    "many": many,
    "interrupted": interrupted,
    "streams": streams,
    "shared": shared,
    "loop": loop,
}


def main(scenario: str, *arguments: str) -> None:
    """Run *scenario* and print what came out."""
    pool = {**POOL, "pool_size": 1} if scenario == "interrupted" else POOL
    kit = worker_kit(engine_options=pool)
    if kit.database.driver == "psycopg2":
        from psycogreen.gevent import patch_psycopg

        patch_psycopg()
    found = SCENARIOS[scenario](kit, *arguments)
    found.update(names=kit.names()[:3], checkedout=kit.checkedout())
    kit.dispose()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
