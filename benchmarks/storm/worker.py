"""A process of the app: threads that do units of work until they are told to end."""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
import urllib.error
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ExceptionContext, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from waitress import create_server  # type: ignore[import-untyped]

from flask_safesession import classify

from .bank import Site
from .diary import ACKNOWLEDGED, BEGUN, ENDED, LEFT, SEEN, SLOW, Diary
from .mischief import Killed, Mischief, StormError
from .units import KINDS, ByHand, Safely, Units, add_view, ask, make_order

__all__ = ["Orders", "Worker", "serve"]

logger = logging.getLogger("benchmarks.storm")

PATIENCE: Final = 30.0
"""Seconds after which a caller gives up waiting: the unit hangs."""

_KILLS: Final = 0.02
_DROUGHTS: Final = 0.002
"""How likely a thread is killed, and the pool is emptied, in each twentieth of a second."""

_RETRY_AFTER: Final = 0.1
"""Seconds that a caller waits who was told that the database is not there."""

_AWAY: Final = frozenset(
    {"connection_refused", "server_shutdown", "too_many_connections", "http_503"}
)


@dataclass(frozen=True)
class Orders:
    """What a process is to do.

    Attributes:
        url: The database.
        diary: What it writes down.
        seed: Decides what its threads do.
        threads: How many there are.
        rate: How many of a hundred units get a fault of their own.
        safe: With the extension, or by hand.
    """

    url: str
    diary: Path
    seed: str
    threads: int
    rate: float
    safe: bool


class Worker:
    """The threads of one process.

    Args:
        orders: What they do.
    """

    def __init__(self, orders: Orders) -> None:
        self._seed = orders.seed
        self._diary = Diary(orders.diary)
        self._site = Site(make_url(orders.url), safe=orders.safe)
        self._units: Units = (Safely if orders.safe else ByHand)(self._site, self._diary)
        self._mischief = Mischief(self._site, self._diary, orders.rate)
        self._ended = threading.Event()
        event.listen(self._site.engine, "handle_error", self._met)
        add_view(self._site, self._units, self._mischief)
        self._server: Any = create_server(self._site.app, host="127.0.0.1", port=0, threads=4)
        self._http = threading.Thread(target=self._server.run, daemon=True)
        self._threads: dict[int, threading.Thread] = {}
        self._count = orders.threads

    def run(self, line: Connection) -> None:
        """Work until the other end of *line* is closed."""
        self._http.start()
        threading.Thread(target=self._listen, args=(line,), daemon=True).start()
        chosen = random.Random(self._seed)
        number = 0
        while not self._ended.wait(0.05):
            for place in range(self._count):
                if place not in self._threads or not self._threads[place].is_alive():
                    number += 1
                    self._threads[place] = self._started(number)
            if chosen.random() < _KILLS:
                self._mischief.kill(chosen.choice(list(self._threads.values())))
            if chosen.random() < _DROUGHTS:
                self._mischief.run_dry(chosen)
        self._end()

    def _listen(self, line: Connection) -> None:
        with suppress(EOFError):
            line.recv()
        self._ended.set()

    def _started(self, number: int) -> threading.Thread:
        chosen = random.Random(f"{self._seed} {number}")
        thread = threading.Thread(target=self._work, args=(chosen,), daemon=True)
        thread.start()
        return thread

    def _work(self, chosen: random.Random) -> None:
        with suppress(Killed):
            self._work_until_the_end(chosen)

    def _work_until_the_end(self, chosen: random.Random) -> None:
        while not self._ended.is_set():
            key, kind = uuid.UUID(int=chosen.getrandbits(128)).hex, chosen.choice(KINDS)
            key = f"{self._seed}-{key}"[:40]
            self._diary.note(BEGUN, key)
            began = time.monotonic()
            self._unit(key, kind, chosen)
            if time.monotonic() - began > PATIENCE:
                self._diary.note(SLOW, key)

    def _unit(self, key: str, kind: str, chosen: random.Random) -> None:
        try:
            self._does(key, kind, chosen)()
            self._diary.note(ACKNOWLEDGED, key)
        except urllib.error.HTTPError as error:
            error.close()
            self._failed(f"http_{error.code}")
        except (StormError, IntegrityError, OSError) as error:
            self._failed(type(error).__name__)
        except Exception as error:
            fault = classify(error)
            if fault.category == "unknown":
                logger.exception("A unit failed.")
            self._failed(fault.category)

    def _met(self, context: ExceptionContext) -> None:
        """Note what the database says, whatever becomes of the unit."""
        if not isinstance(context.original_exception, Killed):
            self._diary.note(SEEN, classify(context.original_exception).category)

    def _failed(self, how: str) -> None:
        """Note how a unit has ended, and do as the caller of a service that is away."""
        self._diary.note(ENDED, how)
        if how in _AWAY:
            self._ended.wait(_RETRY_AFTER)

    def _does(self, key: str, kind: str, chosen: random.Random) -> Callable[[], None]:
        """What a caller of the app does for one unit."""
        order = make_order(chosen, key, kind)
        if kind == "view":
            return lambda: ask(self._server.effective_port, order)

        def inside() -> None:
            with self._mischief.around(chosen), self._site.app.app_context():
                if kind == "slot":
                    self._units.slot(key, f"slot{chosen.getrandbits(16)}")
                elif kind == "job":
                    self._units.job(key)
                else:
                    getattr(self._units, kind)(order)

        return inside

    def _end(self) -> None:
        for thread in self._threads.values():
            thread.join(PATIENCE)
        self._mischief.rest()
        self._server.close()
        alive = sum(each.is_alive() for each in self._threads.values())
        self._diary.note(LEFT, f"threads {alive}")
        self._diary.note(LEFT, f"connections {_checked_out(self._site)}")


def _checked_out(site: Site) -> int:
    """The connections that are out, but for those that the collector gives back in the end."""
    pool: Any = site.engine.pool
    until = time.monotonic() + 1
    while pool.checkedout() and time.monotonic() < until:
        threading.Event().wait(0.05)
    return int(pool.checkedout())


def serve(orders: Orders, line: Connection) -> None:
    """Run one worker, until *line* is closed."""
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("sqlalchemy").setLevel(logging.CRITICAL)  # it has a level of its own
    logger.setLevel(logging.ERROR)
    sys.unraisablehook = _told_of
    Worker(orders).run(line)


def _told_of(told: sys.UnraisableHookArgs) -> None:
    """Say nothing of a thread that is killed inside a callback, which goes on."""
    if not isinstance(told.exc_value, Killed):
        sys.__unraisablehook__(told)
