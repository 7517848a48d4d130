"""The same background work with Flask-SafeSession: each job has a context and a session of its own.

The pool of this side is `AppContextManager(app, transactional=True).executor()`, so that a job is
one transaction, and what it calls are services.
"""

from __future__ import annotations

from flask import Blueprint, current_app

from flask_safesession import on_commit, requires_transaction, session_manager, transactional

from . import outside
from .plan import POOL, Unit
from .safe import Batch, Line, Trail, db, import_unit

blueprint = Blueprint("safe_jobs", __name__)


@blueprint.post("/units/lines")
@transactional
def import_lines_later() -> outside.Accepted:
    """Store the head at once, its lines in a thread, which gets the key of the batch."""
    unit = outside.posted_unit()
    on_commit(current_app.extensions[POOL].submit, add_rest, add_head(unit), unit)
    return "", 202


@blueprint.post("/units/queue")
@transactional
def import_by_queue() -> outside.Accepted:
    """Store the head; the message to the worker goes out after the COMMIT."""
    unit = outside.posted_unit()
    on_commit(outside.send, fill_batch, add_head(unit), unit)
    return "", 202


def fill_batch(batch_id: int, unit: Unit) -> None:
    """Do the rest; the body of a worker's task."""
    with session_manager(name="fill batch"):
        add_rest(batch_id, unit)


@blueprint.post("/units/pool")
def import_in_pool() -> outside.Accepted:
    """Import in a thread; the executor gives it a context."""
    current_app.extensions[POOL].submit(import_unit, outside.posted_unit())
    return "", 202


@requires_transaction
def add_rest(batch_id: int, unit: Unit) -> None:
    """Store what comes after the head."""
    batch = db.session.get_one(Batch, batch_id)
    for position in unit.positions:
        db.session.add(Line(unit=unit.number, batch_id=batch.id, position=position))
    db.session.add(Trail(unit=unit.number, badge=unit.badge))


@requires_transaction
def add_head(unit: Unit) -> int:
    """Store the head; return its key."""
    batch = Batch(unit=unit.number)
    db.session.add(batch)
    db.session.flush()
    return batch.id


@blueprint.post("/units/tariff")
def import_with_tariff() -> outside.Accepted:
    """Import in a thread, whose session is not the one of this request."""
    current_app.extensions[POOL].submit(import_at_tariff, outside.posted_unit())
    return "", 202


@requires_transaction
def import_at_tariff(unit: Unit) -> None:
    """Store one unit; it asks in the same place as the other side, `run_in_phases` would be better."""
    batch_id = add_head(unit)
    outside.tariff.ask()
    add_rest(batch_id, unit)
