"""The JSON API. A view that changes something is one transaction; a problem undoes all of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

from flask import Blueprint, Response, g, jsonify, request, url_for
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from flask_safesession import classify, transactional

from . import jobs, payroll, progress, services
from .database import ensure_tables
from .extensions import db
from .extras import MissingExtraError
from .grid import grid_of
from .instances import InstanceError, parse_instance
from .models import AuditEntry, Roster, Schedule, Wish
from .problems import InvalidInputError, PlannerError

blueprint = Blueprint("api", __name__, url_prefix="/api")

Answer = tuple[Response, int]
T = TypeVar("T", bound=str | int)
LONGEST_SOLVE = 60


@blueprint.before_request
def prepare() -> None:
    """Create missing tables, and note who is asking."""
    ensure_tables()
    g.actor = request.headers.get("X-Actor", "api")[:80]


@blueprint.get("/rosters")
@transactional(read_only=True)
def list_rosters() -> Response:
    """Return all rosters."""
    rosters = db.session.scalars(select(Roster).order_by(Roster.name))
    return jsonify([_roster(roster) for roster in rosters])


@blueprint.post("/rosters")
@transactional
def import_roster() -> Answer:
    """Import ``{"name": ..., "text": ...}``, the text being a roster file."""
    name = _field("name", str)
    instance = parse_instance(_field("text", str), source=name, name=name)
    roster, new = services.import_roster(instance, name)
    return jsonify(_roster(roster)), 201 if new else 200


@blueprint.get("/rosters/<name>")
@transactional(read_only=True)
def show_roster(name: str) -> Response:
    """Return a roster with its schedules."""
    roster = services.find_roster(name)
    return jsonify(_roster(roster) | {"schedules": [_schedule(s) for s in roster.schedules]})


@blueprint.post("/rosters/<name>/schedules")
@transactional
def generate(name: str) -> tuple[Response, int, dict[str, str]]:
    """Have a roster planned by a job, which starts after this transaction."""
    seconds = _field("seconds", int, default=10)
    if not 1 <= seconds <= LONGEST_SOLVE:
        raise InvalidInputError(f"'seconds' is {seconds}, not between 1 and {LONGEST_SOLVE}.")
    run_id = jobs.request_run(name, seconds=seconds)
    headers = {"Location": url_for(".show_run", run_id=run_id)}
    return jsonify(_progress(progress.read(run_id))), 202, headers


@blueprint.get("/runs/<int:run_id>")
@transactional(read_only=True)
def show_run(run_id: int) -> Response:
    """Return how far a run is, for whoever waits for it."""
    return jsonify(_progress(progress.read(run_id)))


@blueprint.post("/rosters/<name>/days-off")
@transactional
def add_day_off(name: str) -> Answer:
    """Store ``{"employee": ..., "day": ...}``."""
    row = services.add_day_off(name, _field("employee", str), _field("day", int))
    return jsonify(id=row.id, day=row.day), 201


@blueprint.post("/rosters/<name>/requests")
@transactional
def add_request(name: str) -> Answer:
    """Store ``{"employee", "day", "shift", "wish": "on" or "off", "weight"}``."""
    row = services.add_request(
        name,
        _field("employee", str),
        _field("day", int),
        shift=_field("shift", str),
        wish=_wish(_field("wish", str)),
        weight=_field("weight", int, default=1),
    )
    return jsonify(id=row.id, day=row.day), 201


@blueprint.get("/schedules/<int:schedule_id>")
@transactional(read_only=True)
def show_schedule(schedule_id: int) -> Response:
    """Return a schedule with its cost, the rules it breaks, and who works when."""
    return jsonify(_details(services.find_schedule(schedule_id)))


@blueprint.post("/schedules/<int:schedule_id>/publish")
@transactional
def publish(schedule_id: int) -> Response:
    """Put a draft in force."""
    return jsonify(_schedule(services.publish_schedule(schedule_id)))


@blueprint.get("/schedules/<int:schedule_id>/minutes")
@transactional(read_only=True)
async def show_minutes(schedule_id: int) -> Response:
    """Return how long each employee works."""
    return jsonify(await payroll.minutes_of(schedule_id))


@blueprint.post("/schedules/<int:schedule_id>/payroll")
async def send_minutes(schedule_id: int) -> Response:
    """Send that to the payroll office; it owns its transactions itself, as the office is slow."""
    return jsonify(receipt=await payroll.send(schedule_id))


@blueprint.put("/schedules/<int:schedule_id>/shifts")
@transactional
def set_shifts(schedule_id: int) -> Response:
    """Apply a list of ``{"employee": ..., "day": ..., "shift": code or null}``, all or none."""
    changes = request.get_json()
    if not isinstance(changes, list) or not changes:
        raise InvalidInputError("The body has to be a list of changes that is not empty.")
    for change in changes:
        services.set_shift(schedule_id, *_change(change))
    return jsonify(_details(services.find_schedule(schedule_id)))


@blueprint.get("/audit")
@transactional(read_only=True)
def list_audit() -> Response:
    """Return the last 100 changes, the newest first."""
    entries = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(100))
    return jsonify([_entry(entry) for entry in entries])


@blueprint.errorhandler(PlannerError)
def planner_problem(error: PlannerError) -> Answer:
    """Answer with the status of the problem."""
    return jsonify(error=str(error), details=list(error.details)), error.status


@blueprint.errorhandler(InstanceError)
def unusable_roster(error: InstanceError) -> Answer:
    """Answer that the roster itself is the problem."""
    return jsonify(error=str(error), details=[]), 422


@blueprint.errorhandler(MissingExtraError)
def missing_extra(error: MissingExtraError) -> Answer:
    """Answer that this server cannot plan."""
    return jsonify(error=str(error), details=[]), 501


@blueprint.errorhandler(SQLAlchemyError)
def database_problem(error: SQLAlchemyError) -> Answer:
    """Answer with what the database's own error code means."""
    fault = classify(error)
    text = f"The database refused the change ({str(fault.category).replace('_', ' ')})."
    return jsonify(error=text, details=[]), fault.http_status or 500


def _field(name: str, kind: type[T], *, default: T | None = None) -> T:
    body = request.get_json(silent=True)
    if body is None and default is not None:
        return default
    if not isinstance(body, dict):
        raise InvalidInputError("The body has to be a JSON object.")
    return _typed(body, name, kind, default)


def _typed(body: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = body.get(name, default)
    if isinstance(value, kind) and type(value) is kind and value != "":
        return value
    wanted = "a whole number" if kind is int else "a text that is not empty"
    raise InvalidInputError(f"{name!r} is {value!r}; it has to be {wanted}.")


def _change(change: object) -> tuple[str, int, str | None]:
    if not isinstance(change, dict):
        raise InvalidInputError(f"A change is {change!r}; it has to be a JSON object.")
    shift = None if change.get("shift") is None else _typed(change, "shift", str)
    return _typed(change, "employee", str), _typed(change, "day", int), shift


def _wish(value: str) -> Wish:
    try:
        return Wish(value)
    except ValueError:
        raise InvalidInputError(f"'wish' is {value!r}; it has to be 'on' or 'off'.") from None


def _roster(roster: Roster) -> dict[str, object]:
    return {"name": roster.name, "horizon": roster.horizon, "employees": len(roster.employees)}


def _schedule(schedule: Schedule) -> dict[str, object]:
    return {"id": schedule.id, "number": schedule.number, "status": schedule.status.value}


def _progress(seen: progress.Progress) -> dict[str, object]:
    text = {"state": seen.state.value, "quality": seen.quality, "ended": seen.ended}
    return asdict(seen) | text


def _details(schedule: Schedule) -> dict[str, object]:
    grid = grid_of(schedule)
    shifts = {code: {c.day: c.shift for c in cells if c.shift} for code, cells in grid.rows}
    return _schedule(schedule) | {"cost": grid.cost, "breaches": grid.breaches, "shifts": shifts}


def _entry(entry: AuditEntry) -> dict[str, object]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "entity": entry.entity,
        "entity_id": entry.entity_id,
        "detail": entry.detail,
    }
