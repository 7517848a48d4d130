"""Celery: each task, handler and signal receiver has a session of its own, and messages follow the COMMIT."""

from ._sending import SafeTask, apply_async_on_commit
from ._wiring import init_celery

__all__ = ["SafeTask", "apply_async_on_commit", "init_celery"]
