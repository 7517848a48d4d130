"""The end of a program, and forks of it: no word on stderr, no connection left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..databases import Database
from ..kit import MakeKit
from .sessions import Census
from .test_sources import ASYNC_URLS, async_url

ROOT = Path(__file__).parents[2]

ENDS = {"open_loop": ["1"], "running_loop": ["1"], "portal": ["1"]}
FORKS = {
    "portal_fork": ["1", "child 1", "parent 1"],
    "loop_fork": ["1", "parent 1"],
    "fork_later": ["1", "child 1", "parent 1"],
}
# Not aiosqlite, which works in threads: a fork does not copy them.
FORKING = {"postgresql+asyncpg", "mysql+asyncmy"}
CASES = [
    (how, *each)
    for how in {**ENDS, **FORKS}
    for each in ASYNC_URLS
    if how in ENDS or each[1] in FORKING
]
# Python 3.12 says of each fork that there may be threads.
COMMAND = "-W error -W ignore:This:DeprecationWarning -m tests.asynchronous.program"


def lines(how: str, database: Database, driver: str) -> list[str]:
    """What the program prints; whatever it leaves open is an error."""
    done = subprocess.run(
        [sys.executable, *COMMAND.split(), how, database.url, async_url(database, driver)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(("how", "name", "driver"), CASES)
def test_a_program(how: str, name: str, driver: str, make_kit: MakeKit) -> None:
    """A stock engine leaves warnings, or hangs, or breaks the parent's connection."""
    kit = make_kit(name, safe=False)
    census = Census(kit) if kit.database.dialect != "sqlite" else None
    assert lines(how, kit.database, driver) == {**ENDS, **FORKS}[how]
    assert census is None or census.count() == 0
