"""The tables: rosters and their people, schedules and their shifts, runs and the audit trail."""

from __future__ import annotations

import enum
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, Double, Enum, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .extensions import Base, db

if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model

CODE = String(40)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(timezone.utc)


class Status(enum.Enum):
    """What a schedule is: being worked on, in force, or replaced by a later one."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class Wish(enum.Enum):
    """Whether an employee asks for a shift or asks not to get it."""

    ON = "on"
    OFF = "off"


class RunState(enum.Enum):
    """How far a generation run has come. `CRASHED` is never stored: nobody is left to store it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


class Roster(Model):
    """One planning period of one team."""

    __tablename__ = "roster"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    horizon: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    imported_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)

    shifts: Mapped[list[ShiftType]] = relationship(order_by="ShiftType.id", back_populates="roster")
    employees: Mapped[list[Employee]] = relationship(
        order_by="Employee.id", back_populates="roster"
    )
    cover: Mapped[list[CoverRequirement]] = relationship(order_by="CoverRequirement.id")
    schedules: Mapped[list[Schedule]] = relationship(
        order_by="Schedule.number", back_populates="roster"
    )


class ShiftType(Model):
    """A kind of shift, such as early or late."""

    __tablename__ = "shift_type"
    __table_args__ = (UniqueConstraint("roster_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey("roster.id"))
    code: Mapped[str] = mapped_column(CODE)
    minutes: Mapped[int]

    roster: Mapped[Roster] = relationship(back_populates="shifts")
    not_followed_by: Mapped[list[ShiftType]] = relationship(
        secondary="forbidden_follow_on",
        primaryjoin="ShiftType.id == ForbiddenFollowOn.shift_id",
        secondaryjoin="ShiftType.id == ForbiddenFollowOn.next_id",
    )


class ForbiddenFollowOn(Model):
    """A shift that may not be worked on the day after another one."""

    __tablename__ = "forbidden_follow_on"

    shift_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"), primary_key=True)
    next_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"), primary_key=True)


class Employee(Model):
    """A person and the limits of the contract."""

    __tablename__ = "employee"
    __table_args__ = (UniqueConstraint("roster_id", "code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey("roster.id"))
    code: Mapped[str] = mapped_column(CODE)
    max_minutes: Mapped[int]
    min_minutes: Mapped[int]
    max_consecutive: Mapped[int]
    min_consecutive: Mapped[int]
    min_days_off: Mapped[int]
    max_weekends: Mapped[int]

    roster: Mapped[Roster] = relationship(back_populates="employees")
    limits: Mapped[list[ShiftLimit]] = relationship(order_by="ShiftLimit.shift_id")
    days_off: Mapped[list[DayOff]] = relationship(order_by="DayOff.day")
    requests: Mapped[list[ShiftRequest]] = relationship(order_by="ShiftRequest.id")


class ShiftLimit(Model):
    """How often an employee may work a kind of shift."""

    __tablename__ = "shift_limit"

    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"), primary_key=True)
    shift_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"), primary_key=True)
    maximum: Mapped[int]

    shift: Mapped[ShiftType] = relationship()


class DayOff(Model):
    """A day on which an employee does not work."""

    __tablename__ = "day_off"
    __table_args__ = (UniqueConstraint("employee_id", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"))
    day: Mapped[int]


class ShiftRequest(Model):
    """A wish of an employee; *weight* is the cost of not granting it."""

    __tablename__ = "shift_request"
    __table_args__ = (UniqueConstraint("employee_id", "shift_id", "day", "wish"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"))
    shift_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"))
    day: Mapped[int]
    wish: Mapped[Wish] = mapped_column(Enum(Wish, native_enum=False, length=8))
    weight: Mapped[int]

    shift: Mapped[ShiftType] = relationship()


class CoverRequirement(Model):
    """How many people a shift needs on a day."""

    __tablename__ = "cover_requirement"
    __table_args__ = (UniqueConstraint("shift_id", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey("roster.id"))
    shift_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"))
    day: Mapped[int]
    required: Mapped[int]
    under_weight: Mapped[int]
    over_weight: Mapped[int]

    shift: Mapped[ShiftType] = relationship()


class Schedule(Model):
    """Who works when; *published_for* is unique, so that one schedule per roster is in force."""

    __tablename__ = "schedule"
    __table_args__ = (UniqueConstraint("roster_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey("roster.id"))
    number: Mapped[int]
    status: Mapped[Status] = mapped_column(
        Enum(Status, native_enum=False, length=16), default=Status.DRAFT
    )
    published_for: Mapped[int | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    roster: Mapped[Roster] = relationship(back_populates="schedules")
    assignments: Mapped[list[ShiftAssignment]] = relationship(
        order_by="ShiftAssignment.day", cascade="all, delete-orphan"
    )


class ShiftAssignment(Model):
    """One employee works one shift on one day; a second shift on that day is refused."""

    __tablename__ = "shift_assignment"
    __table_args__ = (UniqueConstraint("schedule_id", "employee_id", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedule.id"))
    employee_id: Mapped[int] = mapped_column(ForeignKey("employee.id"))
    shift_id: Mapped[int] = mapped_column(ForeignKey("shift_type.id"))
    day: Mapped[int]

    employee: Mapped[Employee] = relationship()
    shift: Mapped[ShiftType] = relationship()


class GenerationRun(Model):
    """One run of the solver and what came of it; *seconds* is wall time."""

    __tablename__ = "generation_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    roster_id: Mapped[int] = mapped_column(ForeignKey("roster.id"))
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedule.id"))
    state: Mapped[RunState] = mapped_column(
        Enum(RunState, native_enum=False, length=16), default=RunState.RUNNING
    )
    objective: Mapped[int | None]
    bound: Mapped[int | None]
    seconds: Mapped[float | None]
    message: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)

    roster: Mapped[Roster] = relationship()
    job: Mapped[GenerationJob] = relationship(cascade="all, delete-orphan")


class GenerationJob(Model):
    """The job behind a run: its order, and how far it is, for whoever looks from another process.

    *limit* and *seconds* are seconds of wall time; *heartbeat* is in seconds since the epoch.
    """

    __tablename__ = "generation_job"

    run_id: Mapped[int] = mapped_column(ForeignKey("generation_run.id"), primary_key=True)
    asked_by: Mapped[str] = mapped_column(String(80))
    limit: Mapped[float] = mapped_column("time_limit")
    heartbeat: Mapped[float] = mapped_column(Double, default=time.time)
    objective: Mapped[int | None]
    bound: Mapped[int | None]
    seconds: Mapped[float] = mapped_column(default=0.0)
    cancelled: Mapped[bool] = mapped_column(default=False)


class AuditEntry(Model):
    """One change: who did what to which thing. Written in the transaction of the change itself."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(40))
    entity: Mapped[str] = mapped_column(String(40))
    entity_id: Mapped[int]
    detail: Mapped[str] = mapped_column(Text)
