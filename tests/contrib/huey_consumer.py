"""A consumer of Huey: ``python -m tests.contrib.huey_consumer``."""

from __future__ import annotations

import os

from sqlalchemy import text

from flask_safesession.contrib.huey import init_huey

from ..workers import worker_kit
from .huey_program import declare_hooks, declare_tasks, make_huey

VARIABLE = "SAFESESSION_TEST_HUEY"


def main() -> None:
    """Be a consumer."""
    url, name, worker_type, workers, *hooks = os.environ[VARIABLE].split()
    kit = worker_kit()
    huey = make_huey(url, name)
    declare_tasks(huey, kit)
    init_huey(huey, lambda: kit.app)
    if hooks:
        declare_hooks(huey, kit)
    if worker_type == "process":
        # A connection that the forked workers inherit.
        with kit.app.app_context():
            kit.session().execute(text("SELECT 1"))
    consumer = huey.create_consumer(
        workers=int(workers),
        worker_type=worker_type,
        periodic=False,
        initial_delay=0.01,
        max_delay=0.05,
    )
    consumer.run()


if __name__ == "__main__":
    main()
