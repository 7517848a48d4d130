"""The changes a roster can undergo: services, which flush in their caller's scope, never commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from flask import g
from sqlalchemy import CursorResult, func, select, update

from flask_safesession import on_commit, requires_transaction

from . import rules, storage
from .extensions import db
from .journal import journal
from .models import (
    AuditEntry,
    DayOff,
    Employee,
    Model,
    Roster,
    Schedule,
    ShiftAssignment,
    ShiftRequest,
    ShiftType,
    Status,
    Wish,
    now,
)
from .planning import Assignment, Instance
from .problems import ConflictError, InvalidInputError, NotFoundError, RuleBreachError

T = TypeVar("T", Employee, ShiftType)
M = TypeVar("M", bound=Model)
KINDS: dict[type[Model], str] = {Employee: "employee", ShiftType: "shift"}


@requires_transaction
def find_roster(name: str) -> Roster:
    """Return the roster called *name*."""
    roster = db.session.scalar(select(Roster).where(Roster.name == name))
    if roster is None:
        raise NotFoundError(f"There is no roster {name!r}. Import it first.")
    return roster


@requires_transaction
def find_schedule(schedule_id: int) -> Schedule:
    """Return a schedule."""
    return by_key(Schedule, schedule_id, "schedule")


@requires_transaction
def import_roster(instance: Instance, name: str) -> tuple[Roster, bool]:
    """Store *instance* as *name*; return the roster and whether it is new.

    Raises:
        ConflictError: If another roster has that name.
    """
    known = db.session.scalar(select(Roster).where(Roster.name == name))
    if known is not None and known.digest == storage.digest(instance):
        return known, False
    if known is not None:
        raise ConflictError(
            f"Another roster is called {name!r} already. Give this one another name."
        )
    roster = storage.new_roster(instance, name)
    db.session.add(roster)
    db.session.flush()
    detail = f"{len(roster.employees)} employees, {roster.horizon} days"
    audit("imported", "roster", roster.id, f"{name}: {detail}")
    return roster, True


@requires_transaction
def add_schedule(roster: Roster, plan: Sequence[Assignment]) -> Schedule:
    """Store *plan* as the next draft of *roster*."""
    highest = select(func.max(Schedule.number)).where(Schedule.roster_id == roster.id)
    schedule = Schedule(
        number=(db.session.scalar(highest) or 0) + 1,
        assignments=storage.new_assignments(roster, plan),
    )
    roster.schedules.append(schedule)
    db.session.flush()
    audit("created", "schedule", schedule.id, f"{len(plan)} shifts for {roster.name}")
    return schedule


@requires_transaction
def publish_schedule(schedule_id: int) -> Schedule:
    """Put a draft in force, archive the one before it, and tell everybody once that is stored.

    Raises:
        ConflictError: If the schedule is not a draft.
        RuleBreachError: If it breaks a rule; whatever was flushed until then has to be rolled back.
    """
    schedule = _draft(schedule_id)
    _archive_published(schedule.roster_id)
    schedule.status, schedule.published_at = Status.PUBLISHED, now()
    schedule.published_for = schedule.roster_id
    db.session.flush()
    audit("published", "schedule", schedule.id, f"number {schedule.number}")
    for employee in schedule.roster.employees:
        text = f"Schedule {schedule.number} of {schedule.roster.name} is in force."
        on_commit(journal().notify, employee.code, text)
    _check_rules(schedule)
    return schedule


@requires_transaction
def newer_drafts(name: str) -> Sequence[int]:
    """Return the drafts that are newer than what is in force for the roster *name*, newest first."""
    roster = find_roster(name)
    in_force = select(Schedule.number).where(Schedule.published_for == roster.id)
    drafts = select(Schedule.id).where(
        Schedule.roster_id == roster.id,
        Schedule.status == Status.DRAFT,
        Schedule.number > (db.session.scalar(in_force) or 0),
    )
    return db.session.scalars(drafts.order_by(Schedule.number.desc())).all()


@requires_transaction
def set_shift(schedule_id: int, employee: str, day: int, shift: str | None) -> Schedule:
    """Give *employee* another shift on *day* of a draft; None takes the shift away."""
    schedule = _draft(schedule_id)
    person = _by_code(Employee, schedule.roster, employee)
    _check_day(schedule.roster, day)
    wanted = _by_code(ShiftType, schedule.roster, shift) if shift else None
    slot = {"schedule_id": schedule.id, "employee_id": person.id, "day": day}
    old = db.session.scalar(select(ShiftAssignment).filter_by(**slot))
    before = old.shift.code if old else "off"
    if old is not None:
        db.session.delete(old)
        db.session.flush()
    if wanted is not None:
        db.session.add(ShiftAssignment(shift_id=wanted.id, **slot))
    db.session.flush()
    db.session.expire(schedule, ["assignments"])
    audit(
        "changed", "schedule", schedule.id, f"{employee}, day {day}: {before} to {shift or 'off'}"
    )
    return schedule


@requires_transaction
def add_day_off(name: str, employee: str, day: int) -> DayOff:
    """Give *employee* a day off; schedules that exist already are not changed."""
    roster = find_roster(name)
    _check_day(roster, day)
    row = DayOff(employee_id=_by_code(Employee, roster, employee).id, day=day)
    db.session.add(row)
    db.session.flush()
    audit("created", "day_off", row.id, f"{employee}, day {day}")
    return row


@requires_transaction
def add_request(
    name: str, employee: str, day: int, *, shift: str, wish: Wish, weight: int
) -> ShiftRequest:
    """Store a wish of *employee* for, or against, a shift."""
    roster = find_roster(name)
    _check_day(roster, day)
    if weight < 0:
        raise InvalidInputError(f"The weight is {weight}; it has to be 0 or more.")
    row = ShiftRequest(
        employee_id=_by_code(Employee, roster, employee).id,
        shift_id=_by_code(ShiftType, roster, shift).id,
        day=day,
        wish=wish,
        weight=weight,
    )
    db.session.add(row)
    db.session.flush()
    audit("created", "shift_request", row.id, f"{employee}, day {day}: {wish.value} {shift}")
    return row


@requires_transaction
def audit(action: str, entity: str, entity_id: int, detail: str) -> None:
    """Write down a change, to be stored together with it or not at all."""
    entry = AuditEntry(
        actor=actor(), action=action, entity=entity, entity_id=entity_id, detail=detail
    )
    db.session.add(entry)
    db.session.flush()


def by_key(kind: type[M], key: int, text: str) -> M:
    """Return a row; *text* is what the error calls it where there is none."""
    row = db.session.get(kind, key)
    if row is None:
        raise NotFoundError(f"There is no {text} {key}.")
    return row


def actor() -> str:
    """Return who is at work, as the view or the job has noted."""
    return str(g.get("actor", "command line"))


def _draft(schedule_id: int) -> Schedule:
    """Lock a draft until the scope ends.

    An UPDATE of nothing does that on every database, SQLite included. It comes before the first
    SELECT, as on MariaDB that one decides what later ones see.
    """
    drafts = update(Schedule).where(Schedule.id == schedule_id, Schedule.status == Status.DRAFT)
    held = drafts.values(number=Schedule.number).execution_options(synchronize_session=False)
    locked = cast("CursorResult[Any]", db.session.execute(held)).rowcount
    schedule = find_schedule(schedule_id)
    if not locked:
        raise ConflictError(
            f"Schedule {schedule_id} is {schedule.status.value}; only a draft can be changed."
        )
    return schedule


def _archive_published(roster_id: int) -> None:
    old = db.session.scalar(select(Schedule).where(Schedule.published_for == roster_id))
    if old is not None:
        old.status, old.published_for = Status.ARCHIVED, None
        db.session.flush()
        audit("archived", "schedule", old.id, f"number {old.number}")


def _check_rules(schedule: Schedule) -> None:
    plan = rules.plan_of(storage.assignments_of(schedule))
    found = rules.breaches(storage.to_instance(schedule.roster), plan)
    if found:
        raise RuleBreachError(
            f"Schedule {schedule.number} of {schedule.roster.name!r} breaks {len(found)} rule(s)"
            " and was not published. Change the shifts named below first.",
            found,
        )


def _check_day(roster: Roster, day: int) -> None:
    if not 0 <= day < roster.horizon:
        raise InvalidInputError(f"Day {day} is not between 0 and {roster.horizon - 1}.")


def _by_code(kind: type[T], roster: Roster, code: str) -> T:
    row = db.session.scalar(select(kind).where(kind.roster_id == roster.id, kind.code == code))
    if row is None:
        raise InvalidInputError(
            f"There is no {KINDS[kind]} {code!r} in the roster {roster.name!r}."
        )
    return row
