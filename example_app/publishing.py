"""Nightly publishing: the newest draft of each roster that keeps the rules goes into force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from flask_safesession import session_manager

from . import services
from .journal import journal
from .models import Roster
from .problems import PlannerError, RuleBreachError


@dataclass(frozen=True)
class Outcome:
    """What became of one roster: the *number* of its new schedule, and what stood in the way."""

    roster: str
    number: int | None = None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        result = f"schedule {self.number} published" if self.number else "nothing published"
        return "; ".join((f"{self.roster}: {result}", *self.problems))


def publish_newest_drafts() -> list[Outcome]:
    """Publish what can be published; each roster is a unit of its own, whatever befalls others."""
    g.actor = "scheduler"
    with session_manager(read_only=True, name="list rosters") as session:
        names = session.scalars(select(Roster.name).order_by(Roster.name)).all()
    return [_publish(name) for name in names]


def _publish(name: str) -> Outcome:
    try:
        with session_manager(name=f"publish {name}"):
            journal().watch()
            return _publish_newest(name)
    except (PlannerError, SQLAlchemyError) as exc:
        return Outcome(name, problems=(str(exc).splitlines()[0],))


def _publish_newest(name: str) -> Outcome:
    """Try the drafts in a savepoint each: what a broken one has changed is undone, and no more."""
    problems: Sequence[str] = ()
    for schedule_id in services.newer_drafts(name):
        try:
            with session_manager(propagation="nested"):
                number = services.publish_schedule(schedule_id).number
            return Outcome(name, number, tuple(problems))
        except RuleBreachError as exc:
            services.audit("left alone", "schedule", schedule_id, exc.breaches[0])
            problems = (*problems, str(exc))
    return Outcome(name, problems=tuple(problems))
