"""One storm: a database, workers on it, and the weather."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from sqlalchemy.engine import URL, make_url

from tests.servers import OwnMariaDB, OwnPostgreSQL

from .count import Broken, count, fill
from .diary import FAULT, Diary, Told, read
from .weather import Line, ServerWeather, SqliteWeather, Weather

__all__ = ["DATABASES", "Plan", "Result", "run"]

DATABASES: Final = ("sqlite", "postgresql", "mariadb")
_ROOT: Final = Path(__file__).parents[2]
_SERVERS: Final[Mapping[str, type[OwnPostgreSQL | OwnMariaDB]]] = {
    "postgresql": OwnPostgreSQL,
    "mariadb": OwnMariaDB,
}
_CONNECTIONS: Final = 60


@dataclass(frozen=True)
class Plan:
    """What is to happen.

    Attributes:
        database: One of :data:`DATABASES`.
        safe: With the extension, or by hand.
        seed: Decides what each thread does and which faults come; not how the threads take turns.
        seconds: How long it lasts.
        workers: Processes.
        threads: Threads of each.
        rate: How many of a hundred units get a fault of their own.
        pause: The mean time between two faults from outside, in seconds.
    """

    database: str
    safe: bool
    seed: int
    seconds: float
    workers: int = 2
    threads: int = 6
    rate: float = 1.0
    pause: float = 0.4


@dataclass(frozen=True)
class Result:
    """What came of it."""

    plan: Plan
    told: Told
    broken: Broken


class _Crew:
    """The worker processes."""

    def __init__(self, plan: Plan, url: URL, folder: Path) -> None:
        self._plan = plan
        self._url = url
        self._folder = folder
        self._number = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def man(self) -> None:
        """Start as many as are missing."""
        self._processes = [each for each in self._processes if each.poll() is None]
        while len(self._processes) < self._plan.workers:
            self._processes.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        self._number += 1
        plan = self._plan
        # fmt: off
        command = [
            sys.executable, "-m", "benchmarks.storm.worker",
            "--url", self._url.render_as_string(hide_password=False),
            "--diary", str(self._folder / f"{self._number}.diary"),
            "--seed", f"{plan.seed}-{self._number}", "--threads", str(plan.threads),
            "--rate", str(plan.rate), *(["--safe"] if plan.safe else []),
        ]
        # fmt: on
        return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE)  # noqa: S603

    def kill(self, chosen: random.Random) -> None:
        """SIGKILL one of them."""
        victim = chosen.choice(self._processes)
        victim.kill()
        victim.wait()
        self.man()

    def end(self) -> int:
        """Let all come to their end; return how many had to be killed."""
        for each in self._processes:
            if each.stdin is not None:
                each.stdin.close()
        return sum(_had_to_be_killed(each) for each in self._processes)


def _had_to_be_killed(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def run(plan: Plan) -> Result:
    """Let the storm pass over a database of its own, and count."""
    folder = Path(tempfile.mkdtemp(prefix="safesession-storm-"))
    try:
        with _place(plan.database, folder) as (address, through, server):
            fill(address)
            crew = _Crew(plan, through, folder)
            told = _blow(plan, crew, _weather(crew, server, through, folder), folder)
            return Result(plan, told, count(address, told))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _place(
    database: str, folder: Path
) -> Iterator[tuple[URL, URL, tuple[OwnPostgreSQL | OwnMariaDB, Line] | None]]:
    """The database's own URL, the one that leads through the line, and what can be broken."""
    if database == "sqlite":
        url = make_url(f"sqlite:///{folder / 'storm.db'}")
        yield url, url, None
        return
    server = _SERVERS[database](_CONNECTIONS)
    line = Line(str(server.url.host), int(server.url.port or 0))
    try:
        yield server.url, server.url.set(host="127.0.0.1", port=line.port), (server, line)
    finally:
        line.close()
        server.remove()


def _weather(
    crew: _Crew,
    server: tuple[OwnPostgreSQL | OwnMariaDB, Line] | None,
    url: URL,
    folder: Path,
) -> Weather:
    if server is None:
        return SqliteWeather(folder / "storm.db", crew.kill)
    return ServerWeather(*server, crew.kill)


def _blow(plan: Plan, crew: _Crew, weather: Weather, folder: Path) -> Told:
    chosen = random.Random(plan.seed)
    diary = Diary(folder / "weather.diary")
    until = time.monotonic() + plan.seconds
    pause = Event()
    crew.man()
    while time.monotonic() < until:
        pause.wait(chosen.expovariate(1 / plan.pause))
        diary.note(FAULT, weather.strike(chosen))
        crew.man()
    stuck = crew.end()
    told = read(folder)
    told.left["threads"] += stuck
    return told
