"""Background work as commonly written: a pool, a copied context, an object for a thread, a message."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import copy_context
from logging import getLogger

from flask import Blueprint, Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from . import outside
from .handwritten import Batch, Line, Trail, db, import_unit
from .plan import POOL, Unit

blueprint = Blueprint("handwritten_jobs", __name__)
logger = getLogger(__name__)


@blueprint.post("/units/pool")
def import_in_pool() -> outside.Accepted:
    """Import in a thread, whose exceptions stay in futures that nobody reads."""
    current_app.extensions[POOL].submit(import_unit, outside.posted_unit())
    return "", 202


@blueprint.post("/units/tariff")
def import_with_tariff() -> outside.Accepted:
    """The tariff takes a while, so do not wait for it."""
    context = copy_context()  # so that current_app and db.session work in the thread
    unit = outside.posted_unit()
    current_app.extensions[POOL].submit(context.run, import_at_tariff, unit)
    return "", 202


def import_at_tariff(unit: Unit) -> None:
    """Store one unit, and ask for the tariff on the way."""
    batch = add_head(unit)
    outside.tariff.ask()
    commit_rest(batch, unit)


@blueprint.post("/units/lines")
def import_lines_later() -> outside.Accepted:
    """Store the head at once, its lines in a thread."""
    unit = outside.posted_unit()
    batch, app = add_head(unit), outside.real_app()
    db.session.commit()
    app.extensions[POOL].submit(add_lines, app, batch, unit)
    return "", 202


def add_lines(app: Flask, batch: Batch, unit: Unit) -> None:
    """Store the lines of *batch*; this thread has a context."""
    with app.app_context():
        commit_rest(batch, unit)


@blueprint.post("/units/queue")
def import_by_queue() -> outside.Accepted:
    """Store the head, let a worker do the rest."""
    unit = outside.posted_unit()
    batch = add_head(unit)
    outside.send(fill_batch, batch.id, unit)
    db.session.commit()
    return "", 202


def fill_batch(batch_id: int, unit: Unit) -> None:
    """Do the rest; the body of a worker's task."""
    batch = db.session.get(Batch, batch_id)
    if batch is None:
        logger.warning("batch %s is gone; nothing to do", batch_id)
        return
    commit_rest(batch, unit)


def add_head(unit: Unit) -> Batch:
    """Add the head, and have the database number it."""
    batch = Batch(unit=unit.number)
    db.session.add(batch)
    db.session.flush()
    return batch


def commit_rest(batch: Batch, unit: Unit) -> None:
    """Store what comes after the head, or say in the log why not."""
    try:
        db.session.add_all(rest_of(batch, unit))
        db.session.commit()
    except SQLAlchemyError:
        db.session.rollback()
        logger.exception("unit %s failed", unit.number)


def rest_of(batch: Batch, unit: Unit) -> Sequence[Line | Trail]:
    """Return the lines and the trail entry."""
    lines = [Line(unit=unit.number, batch_id=batch.id, position=p) for p in unit.positions]
    return [*lines, Trail(unit=unit.number, badge=unit.badge)]
