"""The web pages, rendered on the server. Jinja escapes whatever users typed."""

from __future__ import annotations

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from flask_safesession import classify, transactional

from . import jobs, progress, runs, services
from .database import ensure_tables
from .extensions import db
from .extras import MissingExtraError
from .grid import grid_of
from .journal import journal
from .models import AuditEntry, Roster
from .problems import InvalidInputError, PlannerError

blueprint = Blueprint("pages", __name__)

Page = str | tuple[str, int]


@blueprint.before_request
def prepare() -> None:
    """Refuse forms sent from other sites, create missing tables, and note who is asking."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site") == "cross-site":
        abort(403, "This form was sent from another site.")
    ensure_tables()
    g.actor = "web page"


@blueprint.get("/")
@transactional(read_only=True)
def index() -> str:
    """List the rosters and their schedules."""
    rosters = db.session.scalars(select(Roster).order_by(Roster.name)).all()
    recent = [progress.progress_of(run) for run in runs.recent_runs()]
    return render_template("index.html", rosters=rosters, runs=recent)


@blueprint.post("/rosters/<name>/generate")
@transactional
def generate(name: str) -> tuple[str, int, dict[str, str]]:
    """Have a roster planned; the job starts after this transaction, and the page shows it."""
    run_id = jobs.request_run(name, seconds=10)
    page = render_template("run.html", run=progress.read(run_id))
    return page, 202, {"Location": url_for(".run", run_id=run_id)}


@blueprint.get("/runs/<int:run_id>")
@transactional(read_only=True)
def run(run_id: int) -> str:
    """Show how far a run is."""
    return render_template("run.html", run=progress.read(run_id))


@blueprint.post("/runs/<int:run_id>/cancel")
@transactional
def cancel(run_id: int) -> Response:
    """Stop a run."""
    runs.cancel_run(run_id)
    return redirect(url_for(".run", run_id=run_id))


@blueprint.get("/schedules/<int:schedule_id>")
@transactional(read_only=True)
def show(schedule_id: int) -> str:
    """Show who works when."""
    schedule = services.find_schedule(schedule_id)
    return render_template("schedule.html", schedule_id=schedule_id, grid=grid_of(schedule))


@blueprint.post("/schedules/<int:schedule_id>/publish")
@transactional
def publish(schedule_id: int) -> Response:
    """Put a draft in force."""
    services.publish_schedule(schedule_id)
    return redirect(url_for(".show", schedule_id=schedule_id))


@blueprint.post("/schedules/<int:schedule_id>/shift")
@transactional
def change(schedule_id: int) -> Response:
    """Change one shift of a draft."""
    employee, shift = request.form.get("employee", ""), request.form.get("shift") or None
    services.set_shift(schedule_id, employee, _day(), shift)
    return redirect(url_for(".show", schedule_id=schedule_id))


@blueprint.get("/audit")
@transactional(read_only=True)
def audit() -> str:
    """List the last changes and the messages that went out after them."""
    entries = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(100)).all()
    return render_template("audit.html", entries=entries, messages=journal().notifications)


@blueprint.errorhandler(PlannerError)
def planner_problem(error: PlannerError) -> Page:
    """Show what is wrong; nothing of the change was stored."""
    return _problem(str(error), error.status, error.details)


@blueprint.errorhandler(MissingExtraError)
def missing_extra(error: MissingExtraError) -> Page:
    """Show what to install."""
    return _problem(str(error), 501)


@blueprint.errorhandler(SQLAlchemyError)
def database_problem(error: SQLAlchemyError) -> Page:
    """Show what the database's own error code means."""
    fault = classify(error)
    category = str(fault.category).replace("_", " ")
    return _problem(f"The database refused the change ({category}).", fault.http_status or 500)


def _problem(message: str, status: int, details: object = ()) -> Page:
    return render_template("problem.html", message=message, details=details), status


def _day() -> int:
    value = request.form.get("day", "")
    if not (value.isascii() and value.isdigit() and len(value) < 6):
        raise InvalidInputError(f"The day is {value!r}; it has to be a whole number.")
    return int(value)
