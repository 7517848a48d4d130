"""RQ: each job and each callback has an application context and a session of its own; jobs go out after the COMMIT."""

from .._marks import job_options
from ._apps import AppSource
from ._jobs import AppJob
from ._queues import AppQueue, enqueue_on_commit
from ._workers import AppSimpleWorker, AppSpawnWorker, AppWorker, AppWorkerMixin

__all__ = [
    "AppJob",
    "AppQueue",
    "AppSimpleWorker",
    "AppSource",
    "AppSpawnWorker",
    "AppWorker",
    "AppWorkerMixin",
    "enqueue_on_commit",
    "job_options",
]
