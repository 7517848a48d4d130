"""The same application with Flask-SafeSession."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, abort, current_app, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase

from flask_safesession import (
    AppContextManager,
    SafeSession,
    requires_transaction,
    session_manager,
    transactional,
)

from . import columns, vendor
from .plan import LIMIT, POOL, Unit

PREFIX = "compare_safe"
JOBS = "compare.jobs"


class Base(DeclarativeBase):
    """The base of this side's tables."""


db = SQLAlchemy(model_class=Base)
safe = SafeSession()
blueprint = Blueprint("safe", __name__)

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


class Batch(columns.BatchColumns, Model):
    """The head of a unit."""

    __tablename__ = f"{PREFIX}_batch"


class Line(columns.LineColumns, Model):
    """One of the three lines of a unit."""

    __tablename__ = f"{PREFIX}_line"
    __table_args__ = columns.line_constraints(PREFIX)


class Trail(columns.TrailColumns, Model):
    """The note that a unit was stored."""

    __tablename__ = f"{PREFIX}_trail"
    __table_args__ = columns.trail_constraints(PREFIX)


class Tag(columns.TagColumns, Model):
    """A label."""

    __tablename__ = f"{PREFIX}_tag"


class Badge(columns.BadgeColumns, Model):
    """Somebody who may store units."""

    __tablename__ = f"{PREFIX}_badge"


def create_app(url: str) -> Flask:
    """Build this side's application on the database at *url*."""
    from . import safe_jobs

    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SAFESESSION_OWNERSHIP_MODULES"] = {vendor.__name__: "defer"}
    app.extensions[JOBS] = []
    app.extensions[POOL] = AppContextManager(app, transactional=True).executor(max_workers=1)
    db.init_app(app)
    safe.init_app(app, db)
    app.register_blueprint(blueprint)
    app.register_blueprint(safe_jobs.blueprint)
    return app


@blueprint.post("/units")
@transactional
def create_unit() -> tuple[dict[str, int], int]:
    """Store one unit."""
    unit = Unit(**request.get_json())
    add_batch(unit)
    get_or_create_tag(unit.tag)
    vendor.log_action(db.session, Trail(unit=unit.number, badge=unit.badge))
    if unit.headcount > LIMIT:
        abort(422)
    return {"unit": unit.number}, 201


@requires_transaction
def add_batch(unit: Unit) -> Batch:
    """Store the head and the lines of a unit."""
    batch = Batch(unit=unit.number)
    db.session.add(batch)
    db.session.flush()
    for position in unit.positions:
        db.session.add(Line(unit=unit.number, batch_id=batch.id, position=position))
    db.session.flush()
    return batch


@requires_transaction
def get_or_create_tag(name: str) -> Tag | None:
    """Insert first, look it up where somebody was faster; only the savepoint is lost."""
    tag = Tag(name=name)
    try:
        with session_manager(propagation="nested") as session:
            session.add(tag)
    except IntegrityError:
        return db.session.scalar(select(Tag).where(Tag.name == name))
    return tag


def run_job(app: Flask, units: Sequence[Unit]) -> None:
    """Work off a queue; one bad unit must not stop the others."""
    with app.app_context():
        for unit in units:
            import_or_log(unit)


def import_or_log(unit: Unit) -> None:
    """Store one unit, or say in the log why not."""
    try:
        with session_manager(name="import unit"):
            import_unit(unit)
    except Exception:
        current_app.logger.exception("unit %s failed", unit.number)


@requires_transaction
def import_unit(unit: Unit) -> Batch:
    """Store one unit of a queue; it is checked when all of it is there."""
    batch = add_batch(unit)
    db.session.add(Trail(unit=unit.number, badge=unit.badge))
    db.session.flush()
    if unit.headcount > LIMIT:
        raise ValueError(f"unit {unit.number} has {unit.headcount} heads")
    return batch


def start_thread(app: Flask, unit: Unit) -> threading.Thread:
    """Store one unit in a thread of its own."""
    worker = threading.Thread(target=run_in_thread, args=(app, unit), name=f"unit {unit.number}")
    app.extensions[JOBS].append(worker)
    worker.start()
    return worker


@blueprint.get("/jobs")
def list_jobs() -> list[dict[str, object]]:
    """Return the threads that were started, and whether they run."""
    return [{"name": job.name, "runs": job.is_alive()} for job in current_app.extensions[JOBS]]


def run_in_thread(app: Flask, unit: Unit) -> None:
    """Store one unit beside the requests; the body of a plain thread."""
    with AppContextManager(app):
        with session_manager(name="import unit in thread"):
            number = import_unit(unit).id
        app.logger.info("unit %s is stored as batch %s", unit.number, number)
