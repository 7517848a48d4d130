"""ASGI servers as processes: one event loop for all requests, which keeps its connections."""

from __future__ import annotations

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import pytest
from sqlalchemy import Engine, text

from ..conftest import Wanted
from ..workers import StartWorker, database_environ

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


@pytest.mark.workers
@pytest.mark.postgresql
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])  # in coroutines: psycopg, asyncpg
def test_a_pool_lasts(server: str, driver: str, wanted: Wanted, start_worker: StartWorker) -> None:
    """All requests have the connection that the first one opened, and it ends with the server."""
    pytest.importorskip(server)
    option, running = SERVERS[server]
    database = wanted.get(f"postgresql-{driver}")
    observer = database.observer
    assert observer is not None
    before = _connections(observer)
    started = start_worker(
        *("-m", server, option, "tests.asynchronous.asgi_app:asgi"),
        environ=database_environ(database),
    )
    port = started.wait_for(running)[1]
    first = _ask(port, "first")
    assert _connections(observer) - before == {first[1]}
    with pytest.raises(HTTPError, match="409"):
        _ask(port, "no")
    names = [f"item{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(_ask, [port] * len(names), names)) == {first}
    assert _connections(observer) - before == {first[1]}
    with observer.connect() as connection:
        stored = connection.scalars(text("SELECT name FROM item")).all()
    assert sorted(stored) == sorted(["first", *names])
    started.stop()
    assert "Traceback" not in started.output, started.output
