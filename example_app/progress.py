"""How far a run is, as a plain value, and the thread that reports it while the solver works."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from flask_safesession import AppContextManager, session_manager

from . import runs
from .models import GenerationRun, RunState
from .search import Search

INTERVAL = 0.5
"""Seconds between two reports. A solver may find ten rosters meanwhile, or none."""

SILENCE = {RunState.QUEUED: 3600.0, RunState.RUNNING: 15.0}
"""After so many seconds without a report nobody works on the run any more."""


@dataclass(frozen=True)
class Progress:
    """How far a run is; *seconds* and *limit* are wall time, a *bound* equal to the cost is proof."""

    run_id: int
    roster: str
    state: RunState
    objective: int | None
    bound: int | None
    seconds: float
    limit: float
    schedule_id: int | None
    message: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in SILENCE

    @property
    def quality(self) -> str:
        """What is known of the best roster so far."""
        if self.objective is None:
            return "no roster yet"
        if self.objective == self.bound:
            return f"cost {self.objective} (proven optimal)"
        return f"cost {self.objective} (at best {self.bound})"


def read(run_id: int) -> Progress:
    """Return how far the run is, in the scope of the caller."""
    return progress_of(runs.find_run(run_id))


def progress_of(run: GenerationRun) -> Progress:
    """Return how far *run* is; a process that died cannot say so, its silence does."""
    job, state, message = run.job, run.state, run.message
    if time.time() - job.heartbeat > SILENCE.get(state, float("inf")):
        state, message = RunState.CRASHED, "Nothing was heard of it for too long: its process died."
    return Progress(
        run_id=run.id,
        roster=run.roster.name,
        state=state,
        objective=job.objective,
        bound=job.bound,
        seconds=job.seconds,
        limit=job.limit,
        schedule_id=run.schedule_id,
        message=message,
    )


@contextmanager
def reported(run_id: int, search: Search) -> Iterator[None]:
    """Report *search* until the block ends, from a thread that has a context of its own."""
    over = threading.Event()
    reporter = AppContextManager().thread(_report, (run_id, search, over), name=f"run {run_id}")
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()


def _report(run_id: int, search: Search, over: threading.Event) -> None:
    """Write the row in short scopes, each of which gives its connection back at once."""
    while not over.wait(INTERVAL):
        try:
            with session_manager(name="report progress"):
                cancelled = runs.report(run_id, search)
        except SQLAlchemyError:
            # The search is worth more than a report, and the next one is near.
            current_app.logger.warning("run %s was not reported", run_id, exc_info=True)
            continue
        if cancelled:
            search.stop()
