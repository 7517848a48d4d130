"""The end of the interpreter leaves no half of a job: none of its rows is stored, or all."""

from __future__ import annotations

import signal

import pytest

from ..kit import Kit
from ..workers import StartWorker, database_environ

ROWS = 6
NOTHING, ALL = 0, ROWS


@pytest.mark.parametrize(("ending", "code"), [("exit", 0), ("error", 1)])
def test_the_end_of_the_interpreter(
    kit: Kit, start_worker: StartWorker, ending: str, code: int
) -> None:
    """It waits for the job, as it does for a stock executor's."""
    arguments = ("-m", "tests.jobs.exiting", ending, str(ROWS))
    worker = start_worker(*arguments, environ=database_environ(kit.database))
    assert (worker.wait(), len(kit.names())) == (code, ALL), worker.output


@pytest.mark.parametrize(
    ("ending", "code", "rows"),
    [("handled", 3, ALL), ("killed", -signal.SIGTERM, NOTHING), ("dropped", 0, NOTHING)],
)
def test_sigterm(kit: Kit, start_worker: StartWorker, ending: str, code: int, rows: int) -> None:
    """It cuts the job off, unless a handler exits (the job ends first) or shuts the executor down (it rolls back)."""
    arguments = ("-m", "tests.jobs.exiting", ending, str(ROWS))
    worker = start_worker(*arguments, environ=database_environ(kit.database))
    worker.wait_for("^ready")
    worker.process.send_signal(signal.SIGTERM)
    assert (worker.wait(), len(kit.names())) == (code, rows), worker.output
    assert ("abandoned=1" in worker.output) == (ending == "dropped")
