"""The job that plans a roster. The executor and Celery both run `generate`, in a context of its own."""

from __future__ import annotations

from sqlalchemy.orm import Session

from flask_safesession import PhaseResult, run_in_phases

from . import progress, runs, solver
from .extras import MissingExtraError
from .journal import journal
from .planning import Solution
from .problems import PlannerError
from .search import Search

EXPECTED = (MissingExtraError, PlannerError, solver.SolverError, solver.StoppedError)
"""What tells users enough by its message; anything else is a fault of the program."""


def generate(run_id: int) -> None:
    """Plan the roster of a queued run, and store the whole schedule or nothing.

    Two short scopes, and none while the solver works: no connection is held meanwhile. Whatever
    ends the solver is recorded, an interruption by Ctrl-C included.
    """

    def begin_generation(_: Session) -> runs.Order:
        journal().watch()
        return runs.begin_run(run_id)

    def solve(order: runs.Order) -> Solution:
        search = Search()
        with progress.reported(run_id, search):
            return solver.solve(order.instance, seconds=order.seconds, search=search)

    def save_schedule(_: Session, result: PhaseResult[Solution]) -> None:
        journal().watch()
        if result.value is not None:
            runs.finish_run(run_id, result.value)
        else:
            _record_failure(run_id, result)

    run_in_phases(begin_generation, solve, save_schedule)


def _record_failure(run_id: int, result: PhaseResult[Solution]) -> None:
    error = result.error
    message = str(error) if isinstance(error, EXPECTED) else repr(error)
    # KeyboardInterrupt and SystemExit are no Exception.
    cancelled = isinstance(error, solver.StoppedError) or not isinstance(error, Exception)
    runs.fail_run(run_id, message, seconds=result.elapsed, cancelled=cancelled)
