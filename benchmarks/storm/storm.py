"""One storm: a database, workers on it, and the weather."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from sqlalchemy.engine import URL, make_url

from tests.servers import OwnMariaDB, OwnPostgreSQL

from .count import count, fill
from .crew import Crew
from .diary import FAULT, Diary, Told, read
from .plan import Plan, Result
from .weather import Line, ServerWeather, SqliteWeather, Weather

__all__ = ["run"]

_SERVERS: Final[Mapping[str, type[OwnPostgreSQL | OwnMariaDB]]] = {
    "postgresql": OwnPostgreSQL,
    "mariadb": OwnMariaDB,
}
_CONNECTIONS: Final = 60


def run(plan: Plan) -> Result:
    """Let the storm pass over a database of its own, and count."""
    folder = Path(tempfile.mkdtemp(prefix="safesession-storm-"))
    try:
        with _place(plan.database, folder) as (address, through, server):
            fill(address)
            crew = Crew(plan, through, folder)
            told = _blow(plan, crew, _weather(crew, server, through, folder), folder)
            return Result(plan, told, *count(address, told))
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
    crew: Crew,
    server: tuple[OwnPostgreSQL | OwnMariaDB, Line] | None,
    url: URL,
    folder: Path,
) -> Weather:
    if server is None:
        return SqliteWeather(folder / "storm.db", crew.kill)
    return ServerWeather(*server, crew.kill)


def _blow(plan: Plan, crew: Crew, weather: Weather, folder: Path) -> Told:
    chosen = random.Random(plan.seed)
    diary = Diary(folder / "weather.diary")
    until = time.monotonic() + plan.seconds
    pause = Event()
    crew.man()
    while time.monotonic() < until:
        pause.wait(chosen.expovariate(1 / plan.pause))
        struck = weather.strike(chosen)
        if struck is not None:
            diary.note(FAULT, struck)
        crew.man()
    stuck = crew.end()
    told = read(folder)
    told.left["threads"] += stuck
    return told
