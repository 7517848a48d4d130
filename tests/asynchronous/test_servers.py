"""ASGI servers as processes: one event loop for all requests, which keeps its connections."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from sqlalchemy import Engine, text

from ..conftest import Wanted
from ..databases import Database
from ..workers import StartWorker, Worker, database_environ

SERVERS = {
    "uvicorn": ("--port=0", r"running on http://127\.0\.0\.1:(\d+)"),
    "hypercorn": ("--bind=127.0.0.1:0", r"Running on http://127\.0\.0\.1:(\d+)"),
}


def _ask(port: str, name: str) -> tuple[int, int]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own server
        answer = json.load(response)
    return answer["process"], answer["connection"]


def _connections(observer: Engine) -> set[int]:
    with observer.connect() as connection:
        pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return set(connection.scalars(text(pids)))


def _stored(observer: Engine) -> list[str]:
    with observer.connect() as connection:
        return sorted(connection.scalars(text("SELECT name FROM item")))


@pytest.fixture(params=["psycopg", "psycopg2"])  # in coroutines: psycopg, asyncpg
def database(request: pytest.FixtureRequest, wanted: Wanted) -> Database:
    """PostgreSQL, reached by each of two async drivers."""
    return wanted.get(f"postgresql-{request.param}")


@pytest.fixture
def observer(database: Database) -> Engine:
    """Another way to look at it."""
    assert database.observer is not None
    return database.observer


Start = Callable[[str], str]


@pytest.fixture(params=SERVERS)
def start(
    request: pytest.FixtureRequest, database: Database, start_worker: StartWorker
) -> Iterator[Start]:
    """Starts a server with an app of the module, and gives its port."""
    pytest.importorskip(request.param)
    option, running = SERVERS[request.param]
    started: list[Worker] = []

    def start(app: str) -> str:
        command = ("-m", request.param, option, f"tests.asynchronous.asgi_app:{app}")
        started.append(start_worker(*command, environ=database_environ(database)))
        return started[0].wait_for(running)[1]

    yield start
    started[0].stop()
    assert "Traceback" not in started[0].output, started[0].output


@pytest.mark.programs
@pytest.mark.postgresql
def test_a_pool_lasts(observer: Engine, start: Start) -> None:
    """All requests have the connection that the first one opened: asgiref runs them one after another."""
    before, port = _connections(observer), start("one_by_one")
    first = _ask(port, "first")
    with pytest.raises(HTTPError, match="409"):
        _ask(port, "no")
    names = [f"item{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(_ask, [port] * len(names), names)) == {first}
    assert _connections(observer) - before == {first[1]}
    assert _stored(observer) == sorted(["first", *names])


@pytest.mark.programs
@pytest.mark.postgresql
def test_requests_at_once(observer: Engine, start: Start) -> None:
    """With a thread for each request they meet, each with a connection, and the next four have the same ones."""
    before, port = _connections(observer), start("at_once")
    names = [f"meet{number}" for number in range(8)]
    with ThreadPoolExecutor(4) as clients:
        first, second = (
            set(clients.map(_ask, [port] * 4, four)) for four in (names[:4], names[4:])
        )
    assert (len(first), second) == (4, first)
    assert _connections(observer) - before == {connection for _, connection in first}
    assert _stored(observer) == names
