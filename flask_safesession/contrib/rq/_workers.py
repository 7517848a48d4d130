"""RQ's workers, which find the app and give each job its contexts."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, cast

from flask import Flask
from redis import ConnectionPool
from rq import Queue, SimpleWorker, SpawnWorker, Worker
from rq.connections import parse_connection
from rq.executions import Execution
from rq.job import Job
from rq.utils import import_attribute
from rq.worker import BaseWorker
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from flask_safesession import AppContextManager

from . import _apps
from ._apps import AppSource
from ._jobs import bound_job_class

__all__ = [
    "AppSimpleWorker",
    "AppSpawnWorker",
    "AppWorker",
    "AppWorkerMixin",
    "run_spawned_horse",
]

_HORSE: Final = "SAFESESSION_RQ_HORSE"


class AppWorkerMixin(BaseWorker):
    """Makes a worker class run its jobs in contexts of an app: ``class ShopWorker(AppWorkerMixin, HerokuWorker)``.

    .. versionadded:: 0.1
    """

    app: ClassVar[AppSource | None] = None
    """The app, a factory without arguments, or what ``flask --app`` takes: ``"shop:create_app()"``.

    None takes the environment variable ``SAFESESSION_APP``, else ``FLASK_APP``.
    """
    transactional: ClassVar[bool] = False
    """Whether each job and each callback is one transaction, committed before RQ sees that it returned.

    A function says otherwise for itself with :func:`job_options`.
    """

    _loaded_app: Flask | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = type(self).transactional
        self.job_class = bound_job_class(self.job_class, self._contexts, own)

    def load_app(self) -> Flask:
        """The app of this worker, made at the first call.

        Raises:
            NoAppError: If there is none, or it cannot be imported.
        """
        if self._loaded_app is None:
            self._loaded_app = _apps.load_app(type(self).app)
        return self._loaded_app

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work as RQ's worker does, once the app is there: without it no job is taken.

        Raises:
            NoAppError: As for :meth:`load_app`.
        """
        self.load_app()
        return super().work(*args, **kwargs)

    def perform_job(self, job: Job, queue: Queue, *args: Any, **kwargs: Any) -> bool:
        """Perform a job; a work horse closes its database connections before it ends.

        Args:
            job: The job.
            queue: Its queue.
            args: What RQ 3 gives besides, the execution.
            kwargs: The same by name.
        """
        if not self.is_horse:
            return super().perform_job(job, queue, *args, **kwargs)
        with _own_connections():
            return super().perform_job(job, queue, *args, **kwargs)

    def _contexts(self, transactional: bool) -> AppContextManager:
        return AppContextManager(self.load_app(), transactional=transactional)


class AppWorker(AppWorkerMixin, Worker):
    """RQ's worker, which forks a work horse for each job.

    .. versionadded:: 0.1
    """


class AppSimpleWorker(AppWorkerMixin, SimpleWorker):
    """RQ's worker that runs its jobs in its own process.

    .. versionadded:: 0.1
    """


class AppSpawnWorker(AppWorkerMixin, SpawnWorker):
    """RQ's worker that starts a new interpreter for each job.

    The interpreter imports the class of this worker: a subclass has to lie in a module, on its top level.

    .. versionadded:: 0.1
    """

    def work(self, *args: Any, **kwargs: Any) -> bool:
        """Work as RQ's worker does.

        Raises:
            NoAppError: As for :meth:`load_app`.
            TypeError: If another interpreter could not import this class.
        """
        _check_importable(type(self))
        return super().work(*args, **kwargs)

    def _dump_worker_config(self) -> bytes:
        """Nothing: RQ 3 packs here what its own horse needs; ours makes the worker anew, with its own job class."""
        return b""

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Start the interpreter that performs *job*; RQ's own would do it with RQ's own worker."""
        execution = cast("Execution", self.execution)  # prepared by RQ
        horse = (
            _import_path(type(self)),
            parse_connection(self.connection),
            (self.name, self._serializer_arg),
            (job.id, queue.name, execution.id),
        )
        # Not an argument, which any user of the machine can read: the password of Redis is in it.
        environ = {
            **os.environ,
            _HORSE: pickle.dumps(horse).hex(),
            "RQ_WORKER_ID": self.name,
            "RQ_JOB_ID": job.id,
        }
        code = f"from {__name__} import run_spawned_horse; run_spawned_horse()"
        command = [sys.executable, "-c", code]
        self._horse_pid = os.spawnve(os.P_NOWAIT, sys.executable, command, environ)  # noqa: S606
        self.procline(f"Spawned {self._horse_pid}")  # type: ignore[no-untyped-call]


def run_spawned_horse() -> None:
    """Be the work horse that the environment describes; only a spawned interpreter calls this."""
    path, redis, (name, serializer), (job_id, queue_name, execution_id) = pickle.loads(  # noqa: S301 - our parent's
        bytes.fromhex(os.environ.pop(_HORSE))
    )
    client, connection_class, options = redis
    connection = client(
        connection_pool=ConnectionPool(connection_class=connection_class, **options)
    )
    made: Callable[..., Any] = import_attribute(path)
    worker = made([], name, connection=connection, serializer=serializer, prepare_for_work=False)
    worker.refresh()
    job = worker.job_class.fetch(job_id, connection=connection, serializer=worker.serializer)
    queue = worker.queue_class(queue_name, connection=connection, serializer=worker.serializer)
    worker.execution = Execution.fetch(execution_id, job_id, connection=connection)
    worker.execution._job = job  # noqa: SLF001 - as RQ 3 does, which would look it up with its own class
    os.setpgrp()
    worker.main_work_horse(job, queue)


def _check_importable(worker: type[BaseWorker]) -> None:
    if worker.__module__ == "__main__" or "<locals>" in worker.__qualname__:
        raise TypeError(
            f"'{worker.__qualname__}' starts a new interpreter for each job, which cannot import it from "
            f"'{worker.__module__}'. Define it on the top level of a module."
        )


def _import_path(worker: type[BaseWorker]) -> str:
    return f"{worker.__module__}.{worker.__qualname__}"


@contextmanager
def _own_connections() -> Iterator[None]:
    """Close at the end what this process has connected: a work horse ends by ``os._exit()``."""
    opened: list[ConnectionPoolEntry] = []

    def note(connection: Any, entry: ConnectionPoolEntry) -> None:
        opened.append(entry)

    event.listen(Pool, "connect", note)
    try:
        yield
    finally:
        event.remove(Pool, "connect", note)
        for entry in opened:
            entry.close()
