"""The planner's jobs by Celery: ``celery -A example_app.celery_app worker``."""

from __future__ import annotations

from celery import Celery
from flask import current_app

from flask_safesession.contrib.celery import SafeTask, init_celery

from . import create_app, generation

# The web server, which only sends, has an app already; a worker makes one.
flask_app = current_app._get_current_object() if current_app else create_app()  # type: ignore[attr-defined]

celery = Celery("example_app", task_cls=SafeTask)
celery.conf.update(flask_app.config.get_namespace("CELERY_"))
init_celery(celery, flask_app)


@celery.task(name="example_app.generate", ignore_result=True, throws=generation.EXPECTED)  # type: ignore[untyped-decorator]
def generate(run_id: int) -> None:
    """Run the same job as the executor does."""
    generation.generate(run_id)
