"""The worker processes of a storm, forked from a process that has imported the app: a new one is there at once."""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from .plan import Plan
from .worker import Orders, serve

__all__ = ["Crew"]

_PATIENCE: Final = 90.0  # seconds for a worker to end
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["benchmarks.storm.worker"])


class Crew:
    """The worker processes.

    Args:
        plan: What is to happen.
        url: The database, as the workers reach it.
        folder: Where they keep their diaries.
    """

    def __init__(self, plan: Plan, url: URL, folder: Path) -> None:
        self._plan = plan
        self._url = url
        self._folder = folder
        self._number = 0
        self._working: list[tuple[ForkServerProcess, Connection]] = []

    def man(self) -> None:
        """Start as many as are missing."""
        self._working = [each for each in self._working if each[0].is_alive()]
        while len(self._working) < self._plan.workers:
            self._working.append(self._started())

    def _started(self) -> tuple[ForkServerProcess, Connection]:
        self._number += 1
        plan = self._plan
        orders = Orders(
            url=self._url.render_as_string(hide_password=False),
            diary=self._folder / f"{self._number}.diary",
            seed=f"{plan.seed}-{self._number}",
            threads=plan.threads,
            rate=plan.rate,
            safe=plan.safe,
        )
        theirs, ours = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=serve, args=(orders, theirs))
        process.start()
        theirs.close()
        return process, ours

    def kill(self, chosen: random.Random) -> None:
        """SIGKILL one of them."""
        victim, line = chosen.choice(self._working)
        victim.kill()
        victim.join()
        line.close()
        self.man()

    def end(self) -> int:
        """Let all come to their end; return how many had to be killed."""
        for _, line in self._working:
            line.close()  # which they wait for
        return sum(_had_to_be_killed(process) for process, _ in self._working)


def _had_to_be_killed(process: ForkServerProcess) -> bool:
    process.join(_PATIENCE)
    if not process.is_alive():
        return False
    process.kill()
    process.join()
    return True
