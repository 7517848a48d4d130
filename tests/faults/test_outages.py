"""A server that stops and comes back, under an app that goes on."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from flask_safesession import (
    AppContextManager,
    SafeSession,
    classify,
    session_manager,
    transactional,
)
from flask_safesession._core import circuit
from tests.databases import free_port

from .bench import DRIVERS, OwnServer, dialect_of
from .conftest import Servers

SYNC = ("psycopg", "psycopg2", "PyMySQL", "mysqlclient")
SECONDS = 0.2


class Site:
    """An app on a server that the test may stop."""

    def __init__(self, url: Any, *, seconds: float = SECONDS) -> None:
        self.app = Flask("outages")
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.db = SQLAlchemy()
        self.safe = SafeSession(self.app, self.db, circuit_seconds=seconds)
        self.db.init_app(self.app)
        self.asked = 0
        self.app.add_url_rule("/", view_func=self.view)

    @transactional
    def view(self) -> str:
        self.db.session.execute(text("SELECT 1"))
        return "answered"

    def get(self) -> int:
        return self.app.test_client().get("/").status_code

    @contextmanager
    def engine(self) -> Iterator[Any]:
        with self.app.app_context():
            yield self.db.engine

    def close(self) -> None:
        with self.engine() as engine:
            engine.dispose()


@pytest.fixture(params=SYNC)
def driver(request: pytest.FixtureRequest) -> str:
    """Each driver of a server."""
    return str(request.param)


@pytest.fixture
def server(driver: str, servers: Servers) -> Iterator[OwnServer]:
    """A server that is up before the test and after it."""
    if driver == "mysqlclient":
        pytest.importorskip("MySQLdb")
    server = servers.get(dialect_of(driver))
    yield server
    if not _answers(server):
        server.start()


def _answers(server: OwnServer) -> bool:
    try:
        socket.create_connection((server.url.host, server.url.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def site(driver: str, server: OwnServer) -> Iterator[Site]:
    """An app on that server."""
    site = Site(server.url.set(drivername=DRIVERS[driver]))
    yield site
    site.close()


def test_the_first_request_after_the_outage_is_served(site: Site, server: OwnServer) -> None:
    """503 while it is down; no stale connection is seen by anybody afterwards.

    Stock Flask-SQLAlchemy answers 500 to the first request that gets one of the old connections.
    """
    assert site.get() == 200
    server.stop()
    assert [site.get() for _ in range(6)] == [503] * 6
    server.start()
    began = time.monotonic()
    while site.get() != 200:
        assert time.monotonic() - began < SECONDS + 1
    assert [site.get() for _ in range(6)] == [200] * 6


def test_a_job_fails_with_the_same_category(site: Site, server: OwnServer) -> None:
    """Its future has the driver's error, and the circuit's note once nobody asks the server any more."""
    server.stop()
    manager = AppContextManager(site.app, transactional=True)

    def job() -> None:
        site.db.session.execute(text("SELECT 1"))

    with manager.executor(max_workers=1) as executor:
        errors = [executor.submit(job).exception(timeout=30) for _ in range(circuit.REFUSALS + 1)]
    faults = {classify(each).category for each in errors if each is not None}
    assert (len(errors), faults) == (circuit.REFUSALS + 1, {"connection_refused"})


def test_healthy_follows_the_server(site: Site, server: OwnServer) -> None:
    """For a health endpoint: no exception, no waiting."""
    assert site.safe.healthy() is True
    server.stop()
    assert [site.safe.healthy() for _ in range(5)] == [False] * 5
    server.start()
    began = time.monotonic()
    while not site.safe.healthy():
        assert time.monotonic() - began < SECONDS + 1


def test_nobody_asks_a_server_that_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """After three refusals the next comes from memory, by the same class, and says so."""
    site = Site(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    raised: list[OperationalError] = []
    with caplog.at_level(logging.ERROR), site.app.app_context():
        for _ in range(circuit.REFUSALS + 1):
            with pytest.raises(OperationalError) as caught:
                with session_manager() as session:
                    session.execute(text("SELECT 1"))
            raised.append(caught.value)
    first, *_, last = raised
    assert type(last.orig) is type(first.orig)
    assert not hasattr(first.orig, "__notes__")
    [note] = last.orig.__notes__  # type: ignore[union-attr]
    assert "did not try to connect: 'postgresql+psycopg://nobody@127.0.0.1" in note
    assert "refuses connections; asking once in 0.2 s." in caplog.text
    site.close()


def test_a_server_without_an_answer_does_not_hold_up_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who comes while one has been waiting for long, and another tries, is answered at once.

    Stock: each waits for its own connection, until no thread of the server is left.
    """
    monkeypatch.setattr(circuit, "PATIENCE", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        site = Site(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none?connect_timeout=6")
        waiting = [threading.Thread(target=site.get) for _ in range(2)]
        waiting[0].start()
        taken = [silent.accept()[0]]
        waiting[0].join(timeout=2.1)
        waiting[1].start()
        taken.append(silent.accept()[0])
        began = time.monotonic()
        assert site.get() == 503
        took = time.monotonic() - began
        for connection, thread in zip(taken, waiting, strict=True):
            connection.close()
            thread.join(timeout=10)
        site.close()
    assert took < 2


def test_the_circuit_can_be_left_out() -> None:
    """``SAFESESSION_CIRCUIT_SECONDS = 0``: everybody asks."""
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"
    site = Site(url, seconds=0)
    with site.app.app_context():
        for _ in range(circuit.REFUSALS + 1):
            with pytest.raises(OperationalError) as caught:
                site.db.session.execute(text("SELECT 1"))
            assert not hasattr(caught.value.orig, "__notes__")
            site.db.session.rollback()
    site.close()


def test_an_error_that_is_no_outage_opens_nothing(servers: Servers) -> None:
    """A database that does not exist stays that error, however often it is asked for."""
    site = Site(servers.get("postgresql").url.set(database="none"))
    with site.app.app_context():
        for _ in range(circuit.REFUSALS + 1):
            with pytest.raises(OperationalError, match='"none" does not exist') as caught:
                site.db.session.execute(text("SELECT 1"))
            assert not hasattr(caught.value.orig, "__notes__")
            site.db.session.rollback()
    site.close()
