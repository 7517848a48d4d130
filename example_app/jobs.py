"""Where jobs run: in threads of this process, or by Celery where ``CELERY_BROKER_URL`` is set."""

from __future__ import annotations

import os
from concurrent.futures import Future

from flask import Flask, current_app

from flask_safesession import (
    AppContextExecutor,
    AppContextManager,
    on_commit,
    requires_transaction,
)

from . import generation, runs
from .extras import require_extra

KEY = "example_app.executor"
BROKER = "CELERY_BROKER_URL"


def init_app(app: Flask) -> None:
    """Give *app* an executor. One thread is enough: the solver keeps all processors busy."""
    app.config.setdefault(BROKER, os.environ.get(BROKER))
    app.config.setdefault("CELERY_TASK_DEFAULT_QUEUE", "example_app")
    app.extensions[KEY] = AppContextManager(app).executor(1, thread_name_prefix="planner")


def executor() -> AppContextExecutor:
    """Return the executor of the current app."""
    found = current_app.extensions[KEY]
    if not isinstance(found, AppContextExecutor):
        raise TypeError(f"app.extensions[{KEY!r}] is no executor; leave this key to the planner.")
    return found


@requires_transaction
def request_run(name: str, *, seconds: float) -> int:
    """Queue the planning of the roster *name*; return the id of the run.

    The job starts after the COMMIT, when whoever runs it can see the row, and never if it rolls
    back.

    Raises:
        MissingExtraError: If there is a broker, and Celery is not installed.
    """
    run_id = runs.queue_run(name, seconds=seconds)
    if current_app.config[BROKER]:
        celery_app = require_extra(f"{__package__}.celery_app", extra="celery")
        celery_app.generate.delay_on_commit(run_id)
    else:
        on_commit(_submit, run_id)
    return run_id


def _submit(run_id: int) -> None:
    executor().submit(generation.generate, run_id).add_done_callback(_log_fault)


def _log_fault(future: Future[None]) -> None:
    """Nobody asks this future for its result, so an error would go unseen."""
    error = future.exception()
    if error is not None and not isinstance(error, generation.EXPECTED):
        current_app.logger.error("a generation failed", exc_info=error)
