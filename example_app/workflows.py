"""The planner's units of work. Here, and in the views, is who owns the transactions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask_safesession import session_manager

from . import jobs, progress, runs, services
from .grid import Grid, grid_of
from .instances import load_instance
from .journal import journal
from .progress import Progress


@dataclass(frozen=True)
class Imported:
    """A roster that is stored now; *new* says whether it was not there before."""

    name: str
    new: bool


def import_file(path: str | Path, name: str | None = None) -> Imported:
    """Store the roster in a file; its name is that of the file unless *name* is given."""
    instance = load_instance(path, name=name)
    with session_manager(name="import roster"):
        journal().watch()
        roster, new = services.import_roster(instance, instance.name)
        return Imported(roster.name, new)


def request_run(name: str, *, seconds: float = 30.0) -> int:
    """Have the roster *name* planned by a job, see `generation`; return the id of the run."""
    with session_manager(name="queue generation"):
        journal().watch()
        return jobs.request_run(name, seconds=seconds)


def read_progress(run_id: int) -> Progress:
    """Read how far a run is, in whatever process its job is."""
    with session_manager(read_only=True, name="read progress"):
        return progress.read(run_id)


def cancel_run(run_id: int) -> None:
    """Have a run end without a schedule."""
    with session_manager(name="cancel generation"):
        journal().watch()
        runs.cancel_run(run_id)


def publish(schedule_id: int) -> int:
    """Put a draft in force; return its number."""
    with session_manager(name="publish schedule"):
        journal().watch()
        return services.publish_schedule(schedule_id).number


def read_grid(schedule_id: int) -> Grid:
    """Read a schedule for showing, in a scope that cannot write."""
    with session_manager(read_only=True, name="show schedule"):
        journal().watch()
        return grid_of(services.find_schedule(schedule_id))
