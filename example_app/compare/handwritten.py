"""The application with hand-written sessions, as commonly written with Flask-SQLAlchemy."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, abort, current_app, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

from . import columns
from .plan import LIMIT, POOL, Unit
from .vendor import log_action

PREFIX = "compare_handwritten"
JOBS = "compare.jobs"


class Base(DeclarativeBase):
    """The base of this side's tables."""


db = SQLAlchemy(model_class=Base)
blueprint = Blueprint("handwritten", __name__)

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
    from . import handwritten_jobs

    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.extensions[JOBS] = []
    app.extensions[POOL] = ThreadPoolExecutor(max_workers=1)
    db.init_app(app)
    app.register_blueprint(blueprint)
    app.register_blueprint(handwritten_jobs.blueprint)
    return app


@blueprint.post("/units")
def create_unit() -> tuple[dict[str, int], int]:
    """Store one unit."""
    unit = Unit(**request.get_json())
    batch = Batch(unit=unit.number)
    db.session.add(batch)
    db.session.commit()  # the lines need the batch's id
    try:
        for position in unit.positions:
            db.session.add(Line(unit=unit.number, batch_id=batch.id, position=position))
        db.session.flush()
        get_or_create_tag(unit.tag)
        log_action(db.session, Trail(unit=unit.number, badge=unit.badge))
        if unit.headcount > LIMIT:
            db.session.rollback()
            abort(422)
        db.session.commit()
    except SQLAlchemyError:
        db.session.rollback()
        current_app.logger.exception("unit %s failed", unit.number)
        abort(500)
    return {"unit": unit.number}, 201


def get_or_create_tag(name: str) -> Tag | None:
    """Insert first, look it up where somebody was faster: the recipe that everybody copies."""
    tag = Tag(name=name)
    db.session.add(tag)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
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
        import_unit(unit)
    except Exception:  # safesession: ignore[TXN201] this page shows the fault
        current_app.logger.exception("unit %s failed", unit.number)


def import_unit(unit: Unit) -> Batch:
    """Store one unit of a queue; it is checked when all of it is there."""
    batch = Batch(unit=unit.number)
    db.session.add(batch)
    db.session.flush()
    for position in unit.positions:
        db.session.add(Line(unit=unit.number, batch_id=batch.id, position=position))
    db.session.add(Trail(unit=unit.number, badge=unit.badge))
    db.session.flush()
    if unit.headcount > LIMIT:
        raise ValueError(f"unit {unit.number} has {unit.headcount} heads")
    db.session.commit()
    return batch


class ImportWorker(threading.Thread):
    """Store one unit beside the requests; ``/jobs`` shows whether it is still at it."""

    def __init__(self, app: Flask, unit: Unit) -> None:
        super().__init__(name=f"unit {unit.number}")
        self.unit = unit
        self.app_context = app.app_context()

    def run(self) -> None:
        """Work in the application's context."""
        self.app_context.push()
        batch = import_unit(self.unit)
        current_app.logger.info("unit %s is stored as batch %s", self.unit.number, batch.id)


def start_thread(app: Flask, unit: Unit) -> threading.Thread:
    """Store one unit in a thread of its own."""
    worker = ImportWorker(app, unit)
    app.extensions[JOBS].append(worker)
    worker.start()
    return worker


@blueprint.get("/jobs")
def list_jobs() -> list[dict[str, object]]:
    """Return the threads that were started, and whether they run."""
    return [{"name": job.name, "runs": job.is_alive()} for job in current_app.extensions[JOBS]]


def close_leaks() -> None:
    """Close what was never closed, so that tables can be dropped; not part of the comparison."""
    left = getattr(db.session.registry, "registry", {})
    for session in list(left.values()):
        session.close()
    left.clear()
