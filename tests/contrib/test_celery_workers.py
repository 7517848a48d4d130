"""Celery's workers in processes of their own, on Redis and RabbitMQ."""

from __future__ import annotations

import gc
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.gevent import TaskPool as GeventPool
from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.result import AsyncResult
from redis import Redis

from flask_safesession import session_manager

from ..conftest import Wanted
from ..kit import Kit, MakeKit
from ..workers import StartWorker, Worker, database_environ
from .celery_worker import VARIABLE, make_worker_celery

WAIT = 30

# The client of Redis leaves the sockets of Celery's broker pool to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
)


@dataclass
class Room:
    """A worker with the app that sends to it."""

    kit: Kit
    celery: Celery
    worker: Worker

    def run(self, name: str, *args: Any, **options: Any) -> Any:
        """Send a task and wait for its result."""
        return self.send(name, *args, **options).get(timeout=WAIT)

    def send(self, name: str, *args: Any, **options: Any) -> AsyncResult:
        return self.celery.tasks[name].apply_async(args, **options)

    def fails(self, name: str, *args: Any, **options: Any) -> Any:
        """Send a task that fails and return its error."""
        return self.send(name, *args, **options).get(timeout=WAIT, propagate=False)

    def held(self) -> int:
        """How many connections the tasks of the worker hold, once a task that was cut off had time to end."""
        return next((0 for _ in range(100) if self.run("whereabouts")[-1] == 0), 1)


StartRoom = Callable[..., Room]


@pytest.fixture
def start_room(
    make_kit: MakeKit, start_worker: StartWorker, redis_url: str, request: pytest.FixtureRequest
) -> Iterator[StartRoom]:
    """Starts workers with a queue and results of their own."""
    prefix = f"safesession-tests-{uuid.uuid4()}"
    rooms: list[Room] = []

    def start(
        pool: str,
        *arguments: str,
        broker: str = "redis",
        database: str = "postgresql-psycopg",
        transactional: bool = True,
        **config: Any,
    ) -> Room:
        url = request.getfixturevalue(f"{broker}_url")
        prefixed = {"global_keyprefix": prefix}
        settings = {
            "broker_url": url,
            "broker_transport_options": prefixed if broker == "redis" else {},
            "result_backend": redis_url,
            "result_backend_transport_options": prefixed,
            "task_default_queue": prefix,
            "broker_connection_retry_on_startup": False,
            "worker_cancel_long_running_tasks_on_connection_loss": True,
            **config,
        }
        kit = make_kit(database)
        worker = start_worker(
            *(
                "-m",
                "celery",
                "-A",
                "tests.contrib.celery_worker",
                "worker",
                "-P",
                pool,
                "-l",
                "INFO",
            ),
            *(
                "--without-gossip",
                "--without-mingle",
                "--without-heartbeat",
                "-n",
                f"{uuid.uuid4()}@%h",
            ),
            *arguments,
            environ={
                VARIABLE: json.dumps(settings),
                "TRANSACTIONAL": str(int(transactional)),
                **database_environ(kit.database),
            },
        )
        rooms.append(Room(kit, make_worker_celery(kit, settings), worker))
        worker.wait_for("the worker is ready")
        return rooms[-1]

    yield start
    for room in rooms:
        room.worker.stop()
        _close(room.celery, prefix)
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter(f"{prefix}*", count=10_000):
            redis.delete(key)
    rooms.clear()
    gc.collect()


def _close(celery: Celery, queue: str) -> None:
    if celery.conf.broker_url.startswith("amqp"):
        with celery.connection_for_write() as connection:
            connection.default_channel.queue_delete(queue)
    backend = celery.backend
    backend.result_consumer.stop()
    backend.client.connection_pool.disconnect()
    celery.close()


EVERY_POOL = [("solo",), ("prefork", "-c", "2"), ("threads", "-c", "4"), ("gevent", "-c", "20")]


@pytest.mark.postgresql
@pytest.mark.parametrize("pool", EVERY_POOL, ids=lambda pool: pool[0])
def test_a_pool(start_room: StartRoom, pool: tuple[str, ...]) -> None:
    """In each kind of pool every task has a context of its own and gives its connection back."""
    room = start_room(*pool)
    results = [room.send("whereabouts") for _ in range(20)]
    found = [result.get(timeout=WAIT) for result in results]
    assert {turn for _, _, turn, _ in found} == {1}
    room.run("add", "tea")
    assert room.run("exists", "tea") is True
    assert room.fails("ends", "milk", "error").args == ("end",)
    assert (room.kit.names(), room.held()) == (["tea"], 0)


@pytest.mark.postgresql
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_retries(start_room: StartRoom, broker: str) -> None:
    """Each try is a transaction of its own: only what the last one did is stored."""
    room = start_room("solo", broker=broker)
    assert (room.run("again", "a"), room.run("automatic", "b")) == (2, 2)
    assert room.kit.names() == ["a2", "b2"]


@pytest.mark.postgresql
def test_forked_workers_share_no_connection(start_room: StartRoom) -> None:
    """The parent has opened one; no child uses it, nor another child's."""
    room = start_room("prefork", "-c", "2")
    results = [room.send("whereabouts") for _ in range(40)]
    found = [result.get(timeout=WAIT) for result in results]
    servers = {(pid, server) for pid, server, *_ in found}
    assert len(servers) == len({pid for pid, _ in servers}) == len({each for _, each in servers})
    assert room.worker.process.pid not in {pid for pid, _ in servers}


def test_spawned_workers(start_room: StartRoom) -> None:
    """Where a worker does not fork, as on macOS, its processes find their Flask app as well."""
    room = start_room(
        *("prefork", "-c", "1"), database="sqlite-file", worker_pool_start_method="spawn"
    )
    room.run("add", "tea")
    assert (room.run("automatic", "b"), room.kit.names()) == (2, ["b2", "tea"])


_SPAWNING = """
import os, pickle
from celery import signals
from flask import current_app, has_app_context
from tests.contrib.celery_kit import make_celery, task
from tests.workers import worker_kit

def begin(name):
    made = pickle.loads(pickle.dumps(celery))
    made.main = name
    made.set_current()
    where = task(made, name="where")(has_app_context)
    signals.worker_process_init.send(sender=None)
    signals.worker_process_init.send(sender=None)
    return where.apply().get()

celery = make_celery(worker_kit())
os.environ["FORKED_BY_MULTIPROCESSING"] = "1"
print(begin(celery.main), begin("another"))
"""


def test_a_copy_of_the_celery_app(start_worker: StartWorker, wanted: Wanted) -> None:
    """That of a spawned process is taken over; another app is left alone."""
    environ = database_environ(wanted.get("sqlite-file"))
    program = start_worker("-c", _SPAWNING, environ=environ)
    assert (program.wait(), program.output) == (0, "True False\n")


_FORKING = """
import os, sys
from celery import signals
from sqlalchemy import text
from tests.contrib.celery_kit import make_celery
from tests.workers import worker_kit

def tell(who):
    with kit.app.app_context():
        print(who, kit.db.session.execute(text("SELECT pg_backend_pid()")).scalar(), flush=True)

kit = worker_kit()
celery = make_celery(kit)
tell("parent")
child = os.fork()
signals.worker_process_init.send(sender=None)  # the solo pool sends it where nothing was forked
tell("child" if child == 0 else "still")
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.postgresql
def test_a_fork(start_worker: StartWorker, wanted: Wanted) -> None:
    """A forked worker opens a connection of its own; where none was forked, the pool stays."""
    database = wanted.get("postgresql-psycopg")
    program = start_worker("-c", _FORKING, environ=database_environ(database))
    assert program.wait() == 0, program.output
    servers = dict(re.findall(r"(parent|child|still) (\d+)", program.output))
    assert servers["parent"] == servers["still"] != servers["child"]


@pytest.mark.postgresql
def test_a_commit_that_fails(start_room: StartRoom) -> None:
    """The task fails with it."""
    room = start_room("solo")
    result = room.send("orphan")
    assert "IntegrityError" in str(result.get(timeout=WAIT, propagate=False))
    assert (result.state, room.kit.count(room.kit.LateChild)) == ("FAILURE", 0)


@pytest.mark.parametrize(
    "database", ["sqlite-file", pytest.param("mariadb-pymysql", marks=pytest.mark.mariadb)]
)
def test_a_database(start_room: StartRoom, database: str) -> None:
    """The other databases work as well."""
    room = start_room("prefork", "-c", "1", database=database)
    room.run("add", "tea")
    room.fails("ends", "milk", "error")
    assert (room.run("exists", "tea"), room.kit.names()) == (True, ["tea"])


@pytest.mark.postgresql
def test_what_nobody_commits(start_room: StartRoom) -> None:
    """Without ``SAFESESSION_CELERY_TRANSACTIONAL`` the worker's log has the guard's warning."""
    room = start_room("solo", transactional=False)
    room.run("add", "tea")
    room.worker.wait_for("The context of the job 'tests.*add' ended with changes that nobody")
    assert room.kit.names() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("how", ["ignore", "reject"])
def test_a_task_that_does_not_end_as_usual(start_room: StartRoom, how: str) -> None:
    """It leaves its context, and its changes are gone."""
    room = start_room("solo")
    room.send("ends", "tea", how)
    assert (room.held(), room.kit.names()) == (0, [])


@pytest.mark.postgresql
def test_a_task_that_ends_its_process(start_room: StartRoom) -> None:
    """``SystemExit`` ends a forked worker; the next one takes the next task."""
    room = start_room("prefork", "-c", "1")
    room.send("ends", "tea", "exit")
    assert (room.held(), room.kit.names()) == (0, [])


@pytest.mark.postgresql
def test_a_soft_time_limit(start_room: StartRoom) -> None:
    """It is an exception like any other."""
    room = start_room("prefork", "-c", "1")
    error = room.fails("stuck", "tea", soft_time_limit=1)
    assert isinstance(error, SoftTimeLimitExceeded)
    assert (room.held(), room.kit.names()) == (0, [])


@pytest.mark.postgresql
def test_a_hard_time_limit(start_room: StartRoom) -> None:
    """The process is killed, the database rolls back, and the next process works."""
    room = start_room("prefork", "-c", "1")
    error = room.fails("stuck", "tea", time_limit=1)
    assert isinstance(error, TimeLimitExceeded)
    room.run("add", "tea")
    assert room.kit.names() == ["tea"]


@pytest.mark.postgresql
def test_a_hard_time_limit_of_a_greenlet(start_room: StartRoom) -> None:
    """Its context is left although the process lives on."""
    room = start_room("gevent", "-c", "5")
    room.fails("stuck", "tea", time_limit=1)
    assert (room.held(), room.kit.names()) == (0, [])


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "pool",
    [
        ("prefork", "-c", "1"),
        pytest.param(
            ("gevent", "-c", "5"),
            marks=pytest.mark.skipif(
                "terminate_job" not in vars(GeventPool), reason="this Celery ends no greenlets"
            ),
        ),
    ],
    ids=lambda pool: pool[0],
)
def test_a_task_that_is_terminated(start_room: StartRoom, pool: tuple[str, ...]) -> None:
    """``revoke(terminate=True)`` leaves nothing."""
    room = start_room(*pool)
    result = room.send("stuck", "tea")
    room.worker.wait_for("stuck with tea")
    result.revoke(terminate=True)
    room.worker.wait_for("[Tt]erminat|[Rr]evoked")
    room.run("add", "milk")
    assert (room.held(), room.kit.names()) == (0, ["milk"])


@pytest.mark.postgresql
def test_a_worker_that_dies(start_room: StartRoom) -> None:
    """With ``acks_late`` the task is run again, and what it does is stored once."""
    room = start_room("prefork", "-c", "1", broker="rabbitmq")
    assert room.run("dies", "tea") == "survived"
    assert room.kit.names() == ["tea"]


@pytest.mark.postgresql
def test_handlers_in_a_worker(start_room: StartRoom) -> None:
    """They have sessions of their own in a worker as well."""
    room = start_room("prefork", "-c", "1")
    done, failed = room.send("noting", False), room.send("noting", True)
    done.get(timeout=WAIT)
    failed.get(timeout=WAIT, propagate=False)
    room.run("whereabouts")
    assert room.kit.names() == sorted(
        ["body", f"on_success in {done.id:.8} found 0", f"on_failure in {failed.id:.8} found 0"]
    )


@pytest.mark.postgresql
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_a_row_is_there_when_its_task_runs(start_room: StartRoom, broker: str) -> None:
    """A thousand times the worker reads the row at once, and never misses it."""
    room = start_room("threads", "-c", "4", broker=broker)
    exists = room.celery.tasks["exists"]
    ids = []
    with room.kit.app.app_context():
        for number in range(1_000):
            ids.append(str(uuid.uuid4()))
            with session_manager() as session:
                session.add(room.kit.Item(name=f"item {number}"))
                exists.apply_async_on_commit((f"item {number}",), task_id=ids[-1])
    # At once: one by one, Celery's Redis backend may wait a second for each answer that is there already.
    found = [meta["result"] for _, meta in room.celery.backend.get_many(ids, timeout=WAIT)]
    assert (len(found), found.count(False)) == (1_000, 0)


@pytest.mark.postgresql
def test_the_stock_delay_sends_too_early(start_room: StartRoom) -> None:
    """Inside the transaction a task that is sent at once does not find the row."""
    room = start_room("solo")
    with room.kit.app.app_context(), session_manager() as session:
        session.add(room.kit.Item(name="tea"))
        session.flush()
        assert room.run("exists", "tea") is False
    assert room.run("exists", "tea") is True


@pytest.mark.postgresql
def test_a_rolled_back_scope_sends_nothing(start_room: StartRoom) -> None:
    """A message of a scope that failed never reaches the worker."""
    room = start_room("solo")
    with room.kit.app.app_context(), pytest.raises(KeyError), session_manager():
        room.celery.tasks["add"].delay_on_commit("tea")
        raise KeyError
    assert (room.run("exists", "tea"), room.kit.names()) == (False, [])
