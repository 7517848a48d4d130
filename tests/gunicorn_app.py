"""The app of the gunicorn that the tests start: ``python -m gunicorn --preload tests.gunicorn_app:app``."""

from __future__ import annotations

import os

from sqlalchemy import text

from flask_safesession import transactional

from .workers import worker_kit

kit = worker_kit()
app = kit.app

CONNECTION = text(
    "SELECT pg_backend_pid()" if kit.database.dialect == "postgresql" else "SELECT connection_id()"
)

with app.app_context():
    # The master leaves it in its pool, which the workers inherit.
    MASTERS = kit.session().scalar(CONNECTION)


@app.post("/<name>")
@transactional
def store(name: str) -> dict[str, int]:
    """Store a row; say by which process and which connection, and which connection the master had."""
    kit.session().add(kit.Item(name=name))
    kit.session().flush()
    return {
        "process": os.getpid(),
        "connection": kit.session().scalar(CONNECTION) or 0,
        "of the master": MASTERS or 0,
    }
