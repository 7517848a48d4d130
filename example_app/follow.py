"""A progress bar for a run, wherever its job is: the row in the database says how far it is."""

from __future__ import annotations

import threading
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from . import workflows
from .models import RunState
from .problems import ConflictError, GenerationError
from .progress import Progress as State

INTERVAL = 0.1
ENDS = {
    RunState.FAILED: "failed",
    RunState.CANCELLED: "been cancelled",
    RunState.CRASHED: "crashed",
}


def follow(console: Console, run_id: int) -> State:
    """Show a bar until the run has ended; Ctrl-C cancels the run, and waits for its end.

    Raises:
        GenerationError: If it led to no schedule.
    """
    try:
        ended = _follow(console, run_id)
    except KeyboardInterrupt:
        with suppress(ConflictError):  # it has just ended
            workflows.cancel_run(run_id)
        ended = _follow(console, run_id)
    if ended.state is not RunState.SUCCEEDED:
        raise GenerationError(f"Run {run_id} has {ENDS[ended.state]}: {ended.message}")
    return ended


def _follow(console: Console, run_id: int) -> State:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[found]}"))
    pause = threading.Event()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("Planning", found="")
        while True:
            seen = workflows.read_progress(run_id)
            bar.update(task, total=seen.limit, completed=_done(seen), found=_found(seen))
            if seen.ended:
                return seen
            pause.wait(INTERVAL)


def _done(seen: State) -> float:
    return seen.limit if seen.state is RunState.SUCCEEDED else min(seen.seconds, seen.limit)


def _found(seen: State) -> str:
    if seen.state is RunState.QUEUED:
        return "queued; no job has begun yet"
    return f"{seen.quality}, {seen.seconds:.1f} of at most {seen.limit:g} s"
