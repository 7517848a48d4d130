"""The nightly payroll, in coroutines: the office is slow, and each roster waits for its answer alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from flask import g
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flask_safesession import (
    AppContextManager,
    PhaseResult,
    requires_transaction,
    run_in_phases,
    session_manager,
)

from . import services
from .journal import journal
from .models import AuditEntry, Employee, Schedule, ShiftAssignment, ShiftType, Status
from .problems import NotFoundError, PlannerError

Minutes = Mapping[str, int]

SENT = "sent to payroll"
SECONDS = 0.1
"""What the office takes for an answer. It is not real, and there is no connection to wait with."""


async def send_all() -> list[str]:
    """Send the hours of what is in force and was not sent yet; say what became of each.

    Each schedule is a task with a context and sessions of its own, whatever befalls the others.
    """
    async with session_manager(read_only=True, name="list unsent") as session:
        sent = select(AuditEntry.entity_id).where(AuditEntry.action == SENT)
        wanted = select(Schedule.id).where(
            Schedule.status == Status.PUBLISHED, Schedule.id.not_in(sent)
        )
        unsent = (await session.scalars(wanted.order_by(Schedule.id))).all()
    manager = AppContextManager(propagate_g=("actor",))
    g.actor = "payroll"
    tasks = [manager.create_task(send(each), name=f"payroll {each}") for each in unsent]
    return [str(each) for each in await asyncio.gather(*tasks, return_exceptions=True)]


async def send(schedule_id: int) -> str:
    """Send the hours of a schedule in two short scopes; none is open while the office works.

    Raises:
        PlannerError: If the office refuses; that is recorded, and the schedule goes out again.
    """

    async def read_minutes(_: AsyncSession) -> Minutes:
        journal().watch()
        return await minutes_of(schedule_id)

    async def ask(minutes: Minutes) -> str:
        return await office(schedule_id, minutes)

    async def note(session: AsyncSession, result: PhaseResult[str]) -> None:
        journal().watch()
        action = SENT if result.status == "succeeded" else "not sent to payroll"
        detail = result.value or str(result.error)
        about = {"entity": "schedule", "entity_id": schedule_id}
        session.add(AuditEntry(actor=services.actor(), action=action, detail=detail, **about))

    return await run_in_phases(read_minutes, ask, note)


@requires_transaction
async def minutes_of(schedule_id: int) -> Minutes:
    """Return how long each employee works, in the scope of the caller."""
    async with session_manager() as session:
        if await session.get(Schedule, schedule_id) is None:
            raise NotFoundError(f"There is no schedule {schedule_id}.")
        worked = (
            select(Employee.code, func.sum(ShiftType.minutes))
            .join_from(ShiftAssignment, Employee)
            .join(ShiftType, ShiftType.id == ShiftAssignment.shift_id)
            .where(ShiftAssignment.schedule_id == schedule_id)
            .group_by(Employee.code)
            .order_by(Employee.code)
        )
        return {code: int(minutes) for code, minutes in await session.execute(worked)}


async def office(schedule_id: int, minutes: Minutes) -> str:
    """Hand the hours in and wait for the receipt: here goes the HTTP call of a real payroll."""
    await asyncio.sleep(SECONDS)
    if not minutes:
        raise PlannerError(f"Nobody works in schedule {schedule_id}.")
    return f"schedule {schedule_id}: {sum(minutes.values()) // 60} hours of {len(minutes)} people"
