"""Workers of Dramatiq in processes of their own, on Redis and RabbitMQ."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dramatiq.broker import Broker

from flask_safesession import session_manager

from ..kit import Kit, MakeKit
from ..workers import StartWorker, Worker, database_environ
from .dramatiq_program import PATIENCE, Actors, declare_actors, make_broker

GEVENT = str(Path(sys.executable).with_name("dramatiq-gevent"))
MODULE = "tests.contrib.dramatiq_worker:broker"


@dataclass
class Station:
    """Where messages are sent, and how their worker is started."""

    url: str
    name: str
    kit: Kit
    broker: Broker
    actors: Actors
    _start: StartWorker

    def work(self, *options: str, command: tuple[str, ...] = ("-m", "dramatiq")) -> Worker:
        """Start a worker; two threads in one process unless *options* say otherwise."""
        environ = {
            **database_environ(self.kit.database),
            "SAFESESSION_TEST_DRAMATIQ": f"{self.url} {self.name} {self.kit.database.dialect}",
            "dramatiq_worker_timeout": "100",
        }
        options = options or ("--processes", "1", "--threads", "2")
        return self._start(*command, MODULE, *options, environ=environ)


def _places(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test on each of these pairs of a broker and a database."""
    marks = {"postgresql-psycopg": [pytest.mark.postgresql]}
    cases = [pytest.param(pair, id="-".join(pair), marks=marks.get(pair[1], ())) for pair in pairs]
    return pytest.mark.parametrize("station", cases, indirect=True)


TWO = (("redis", "sqlite-file"), ("rabbitmq", "postgresql-psycopg"))
FOUR = (*TWO, ("redis", "postgresql-psycopg"), ("rabbitmq", "sqlite-file"))


@pytest.fixture
def brokers() -> Iterator[dict[str, Broker]]:
    """The brokers of this test by their queue's name; what they hold is removed when the workers have ended."""
    brokers: dict[str, Broker] = {}
    yield brokers
    for name, broker in brokers.items():
        _remove(broker, name)
        broker.close()


@pytest.fixture
def station(
    request: pytest.FixtureRequest,
    make_kit: MakeKit,
    brokers: dict[str, Broker],
    start_worker: StartWorker,
) -> Station:
    """A broker and a database, with names of their own."""
    found, database = request.param
    url = request.getfixturevalue(f"{found}_url")
    kit = make_kit(database, engine_options=PATIENCE.get(database.partition("-")[0]))
    name = f"safesession_{uuid.uuid4().hex}"
    broker = brokers[name] = make_broker(url, name, kit)
    return Station(url, name, kit, broker, declare_actors(broker, name, kit), start_worker)


def _remove(broker: Any, name: str) -> None:
    if broker.__class__.__name__ == "RabbitmqBroker":
        for queue in (name, f"{name}.DQ", f"{name}.XQ"):
            broker.channel.queue_delete(queue)
        return
    keys = list(broker.client.scan_iter(f"{name}:*"))
    if keys:
        broker.client.delete(*keys)
    broker.client.close()


@_places(*TWO)
def test_a_message_that_is_sent_in_the_transaction_misses_its_row(station: Station) -> None:
    """What is guarded against: the worker is faster than the COMMIT."""
    worker = station.work()
    with station.kit.app.app_context(), session_manager() as session:
        session.add(station.kit.Item(name="tea"))
        session.flush()
        station.actors.look.send("tea", 1)
        assert worker.wait_for(r"(\d+) seen, (\d+) missed").groups() == ("0", "1")


@_places(("redis", "postgresql-psycopg"))
def test_coroutine_functions(station: Station) -> None:
    """Two threads have at most two connections for all messages, which end with the worker's event loop."""
    worker = station.work()
    names = [f"item {number}" for number in range(8)]
    for name in names:
        station.actors.awaited.send(name)
    found = {worker.wait_for(f"{name} stored by connection (\\d+)")[1] for name in names}
    for name in names:
        worker.wait_for(rf"awaited\['{name}'\] ended with NoneType")
    assert (len(found) <= 2, worker.stop(), station.kit.names()) == (True, 0, names)
    assert "Traceback" not in worker.output, worker.output


@pytest.mark.slow
@pytest.mark.timeout(240)
@_places(*FOUR)
def test_a_thousand_messages_see_their_row(station: Station) -> None:
    """Sent on commit, every one of them."""
    worker = station.work("--processes", "1", "--threads", "4")
    for number in range(1000):
        with station.kit.app.app_context(), session_manager() as session:
            session.add(station.kit.Item(name=str(number)))
            station.actors.look.send_on_commit(str(number), 1000)
    found = worker.wait_for(r"(\d+) seen, (\d+) missed", timeout=200)
    assert found.groups() == ("1000", "0")


@_places(*TWO)
def test_a_commit_that_fails_is_tried_again(station: Station) -> None:
    """The message is not acknowledged as done before its COMMIT.

    One thread: a second one would begin the next try before the first has counted its connections.
    """
    worker = station.work("--processes", "1", "--threads", "1")
    station.actors.late.send()
    worker.wait_for(r"late\[\] ended with NoneType")
    assert "late[] ended with IntegrityError; 0 out, context: False" in worker.output
    assert station.kit.names() == ["second try"]


@_places(*TWO)
@pytest.mark.parametrize(
    ("command", "processes", "threads"),
    [(("-m", "dramatiq"), "2", "2"), ((GEVENT,), "1", "8")],
    ids=["processes", "greenlets"],
)
def test_many_at_once(
    station: Station, command: tuple[str, ...], processes: str, threads: str
) -> None:
    """Forty messages on two forked processes, or on the greenlets of ``dramatiq-gevent``: each row is stored once."""
    worker = station.work("--processes", processes, "--threads", threads, command=command)
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        station.actors.store.send(name)
    for name in names:
        worker.wait_for(rf"store\['{name}'\] ended with NoneType; \d out, context: False")
    assert (station.kit.names(), "Error" in worker.output) == (names, False)


@_places(*TWO)
def test_a_time_limit_rolls_back(station: Station) -> None:
    """The exception that strikes in the middle undoes the row, and the thread is as good as new."""
    worker = station.work("--processes", "1", "--threads", "1")
    station.actors.linger.send_with_options(time_limit=300)
    station.actors.store.send("after")
    worker.wait_for(r"linger\[\] ended with TimeLimitExceeded; 0 out, context: False")
    worker.wait_for(r"store\['after'\] ended with NoneType; 0 out, context: False")
    assert station.kit.names() == ["after"]


@_places(*TWO)
def test_a_worker_that_is_asked_to_end(station: Station) -> None:
    """SIGTERM interrupts the actor, and nothing of it is stored."""
    worker = station.work()
    station.actors.linger.send()
    worker.wait_for("lingering")
    worker.process.send_signal(signal.SIGTERM)
    worker.wait_for(r"linger\[\] ended with Shutdown; 0 out, context: False")
    assert (worker.wait(), station.kit.names()) == (0, [])


@pytest.mark.parametrize("scheme", ["redis://", "amqp://guest:guest@"])
def test_a_broker_that_is_down(
    make_kit: MakeKit, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The commit stands, and the log names the message."""
    kit = make_kit(options={"hook_errors": "log"})
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        broker = make_broker(f"{scheme}127.0.0.1:{taken.getsockname()[1]}/", "nobody", kit)
        actors = declare_actors(broker, "nobody", kit)
        with caplog.at_level(logging.ERROR, "flask_safesession"), kit.app.app_context():
            with session_manager() as session:
                session.add(kit.Item(name="tea"))
                message = actors.store.send_on_commit("lost")
    [record] = [each for each in caplog.records if each.name == "flask_safesession"]
    assert kit.names() == ["tea"]
    assert f"'the Dramatiq message 'store('lost')' ({message.message_id})' failed" in record.message
