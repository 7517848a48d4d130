"""The life of a generation run: services, which flush in their caller's scope, never commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from sqlalchemy import select, update

from flask_safesession import requires_transaction

from . import services, storage
from .extensions import db
from .models import GenerationJob, GenerationRun, Roster, RunState, Schedule
from .planning import Instance, Solution
from .problems import ConflictError
from .search import Search


@dataclass(frozen=True)
class Order:
    """What a job has to do, as plain values; *seconds* of wall time at the most."""

    instance: Instance
    seconds: float


@requires_transaction
def find_run(run_id: int) -> GenerationRun:
    """Return a run."""
    return services.by_key(GenerationRun, run_id, "generation run")


@requires_transaction
def recent_runs(count: int = 5) -> Sequence[GenerationRun]:
    """Return the last runs, the newest first."""
    newest = select(GenerationRun).join(GenerationJob).order_by(GenerationRun.id.desc())
    return db.session.scalars(newest.limit(count)).all()


@requires_transaction
def queue_run(name: str, *, seconds: float) -> int:
    """Note that somebody wants a schedule of the roster *name*; return the run's id."""
    roster = services.find_roster(name)
    job = GenerationJob(asked_by=services.actor(), limit=seconds)
    run = GenerationRun(roster_id=roster.id, state=RunState.QUEUED, job=job)
    db.session.add(run)
    db.session.flush()
    services.audit("queued", "generation_run", run.id, f"roster {name}")
    return run.id


@requires_transaction
def begin_run(run_id: int) -> Order:
    """Note that the job runs, in the name of who asked for it; return what it has to do.

    Raises:
        ConflictError: If it was cancelled, or a queue delivered its message twice.
    """
    run = _locked(run_id)
    if run.state is not RunState.QUEUED:
        raise ConflictError(f"Run {run_id} is {run.state.value}; only a queued one can begin.")
    g.actor = run.job.asked_by
    run.state, run.job.heartbeat = RunState.RUNNING, time.time()
    services.audit("started", "generation_run", run.id, f"roster {run.roster.name}")
    return Order(storage.to_instance(run.roster), run.job.limit)


@requires_transaction
def report(run_id: int, search: Search) -> bool:
    """Store how far the solver is; return whether somebody wants it to stop."""
    job = update(GenerationJob).where(GenerationJob.run_id == run_id)
    now = {"heartbeat": time.time(), "seconds": search.seconds}
    found = {"objective": search.objective, "bound": search.bound}
    db.session.execute(job.values(**now, **found))
    wanted = select(GenerationJob.cancelled).where(GenerationJob.run_id == run_id)
    return db.session.scalars(wanted).one()


@requires_transaction
def cancel_run(run_id: int) -> None:
    """Cancel a queued run; ask the job of a running one to stop at its next report."""
    run = _locked(run_id)
    if run.state not in (RunState.QUEUED, RunState.RUNNING):
        raise ConflictError(f"Run {run_id} is {run.state.value} already.")
    if run.state is RunState.QUEUED:
        run.state = RunState.CANCELLED
    run.job.cancelled = True
    services.audit("cancelled", "generation_run", run.id, f"by {services.actor()}")


@requires_transaction
def finish_run(run_id: int, solution: Solution) -> Schedule:
    """Store the whole roster that the solver found, as a draft, and close its run."""
    run = _locked(run_id)
    roster = db.session.get_one(Roster, run.roster_id)
    schedule = services.add_schedule(roster, solution.assignments)
    run.state, run.schedule_id = RunState.SUCCEEDED, schedule.id
    for row in (run, run.job):
        row.objective, row.bound = solution.objective, solution.bound
        row.seconds = solution.seconds
    detail = f"schedule {schedule.number}: {run.objective}"
    services.audit("succeeded", "generation_run", run.id, detail)
    return schedule


@requires_transaction
def fail_run(run_id: int, message: str, *, seconds: float, cancelled: bool = False) -> None:
    """Close a run that led to no schedule, after *seconds*."""
    run = _locked(run_id)
    run.state = RunState.CANCELLED if cancelled else RunState.FAILED
    run.message, run.job.seconds = message, seconds
    services.audit(run.state.value, "generation_run", run.id, message)


def _locked(run_id: int) -> GenerationRun:
    """Lock a run until the scope ends, before the first SELECT; see `services.publish_schedule`."""
    held = update(GenerationRun).where(GenerationRun.id == run_id)
    same = held.values(state=GenerationRun.state).execution_options(synchronize_session=False)
    db.session.execute(same)
    return find_run(run_id)
