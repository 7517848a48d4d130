"""Queues of unique names, whose traces in Redis go with the test, and a worker inside the process of the tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.results import Result
from rq.timeouts import TimerDeathPenalty

from flask_safesession.contrib.rq import AppQueue, AppSimpleWorker

from ..kit import Kit

__all__ = ["InnerWorker", "TransactionalInnerWorker", "queue_on", "work"]


class InnerWorker(AppSimpleWorker):
    """A worker that leaves the signals of its process alone, which are pytest's."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        pass


class TransactionalInnerWorker(InnerWorker):
    """The same with transactions."""

    transactional = True


def work(
    kit: Kit, queue: AppQueue, base: type[AppSimpleWorker] = InnerWorker, **options: Any
) -> None:
    """Perform the waiting jobs of *queue* in this process, in contexts of the kit's app."""
    worker = type("KitWorker", (base,), {"app": kit.app})
    worker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR", **options)


@contextmanager
def queue_on(url: str) -> Iterator[AppQueue]:
    """A queue of a unique name."""
    name = f"safesession-{secrets.token_hex(6)}"
    with Redis.from_url(url, socket_timeout=60) as connection:
        queue = AppQueue(name, connection=connection)
        yield queue
        for job_id in _job_ids(queue):
            _delete(job_id, queue)
        queue.delete(delete_jobs=True)
        for key in connection.scan_iter(f"*{name}*", count=1000):
            connection.delete(key)


def _job_ids(queue: AppQueue) -> list[str]:
    registries = (
        queue.started_job_registry,
        queue.finished_job_registry,
        queue.failed_job_registry,
        queue.deferred_job_registry,
        queue.scheduled_job_registry,
        queue.canceled_job_registry,
    )
    return [job_id for registry in registries for job_id in registry.get_job_ids(cleanup=False)]


def _delete(job_id: str, queue: AppQueue) -> None:
    with suppress(NoSuchJobError):  # it has expired
        job = Job.fetch(job_id, connection=queue.connection)
        Result.delete_all(job)
        job.delete(delete_dependents=True)
