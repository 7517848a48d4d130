"""A process of the app: threads that do units of work until they are told to end."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import threading
import time
import urllib.error
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from waitress import create_server  # type: ignore[import-untyped]

from flask_safesession import classify

from .bank import Site
from .diary import ACKNOWLEDGED, BEGUN, LEFT, SEEN, SLOW, Diary
from .mischief import Mischief, StormError
from .units import KINDS, ByHand, Safely, Units, add_view, ask, make_order

__all__ = ["Worker", "main"]

logger = logging.getLogger("storm")

PATIENCE: Final = 30.0
"""Seconds after which a caller gives up waiting: the unit hangs."""


class Worker:
    """The threads of one process.

    Args:
        options: What the command line says.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._seed = options.seed
        self._diary = Diary(options.diary)
        self._site = Site(make_url(options.url), safe=options.safe)
        self._units: Units = (Safely if options.safe else ByHand)(self._site, self._diary)
        self._mischief = Mischief(self._site, self._diary, options.rate)
        self._ended = threading.Event()
        add_view(self._site, self._units)
        self._server: Any = create_server(self._site.app, host="127.0.0.1", port=0, threads=4)
        self._http = threading.Thread(target=self._server.run, daemon=True)
        self._threads: dict[int, threading.Thread] = {}
        self._count = options.threads

    def run(self) -> None:
        """Work until somebody closes the standard input, or writes a line there."""
        self._http.start()
        threading.Thread(target=self._listen, daemon=True).start()
        chosen = random.Random(self._seed)
        number = 0
        while not self._ended.wait(0.05):
            for place in range(self._count):
                if place not in self._threads or not self._threads[place].is_alive():
                    number += 1
                    self._threads[place] = self._started(number)
            if chosen.random() < 0.02:
                self._mischief.kill(chosen.choice(list(self._threads.values())))
        self._end()

    def _listen(self) -> None:
        sys.stdin.readline()
        self._ended.set()

    def _started(self, number: int) -> threading.Thread:
        chosen = random.Random(f"{self._seed} {number}")
        thread = threading.Thread(target=self._work, args=(chosen,), daemon=True)
        thread.start()
        return thread

    def _work(self, chosen: random.Random) -> None:
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
            with self._mischief.around(chosen):
                self._does(key, kind, chosen)()
            self._diary.note(ACKNOWLEDGED, key)
        except urllib.error.HTTPError as error:
            self._diary.note(SEEN, f"http_{error.code}")
            error.close()
        except (StormError, IntegrityError, OSError) as error:
            self._diary.note(SEEN, type(error).__name__)
        except Exception as error:
            fault = classify(error)
            if fault.category == "unknown":
                logger.exception("A unit failed.")
            self._diary.note(SEEN, fault.category)

    def _does(self, key: str, kind: str, chosen: random.Random) -> Callable[[], None]:
        """What a caller of the app does for one unit."""
        order = make_order(chosen, key, kind)
        if kind == "view":
            return lambda: ask(self._server.effective_port, order)

        def inside() -> None:
            with self._site.app.app_context():
                if kind == "slot":
                    self._units.slot(key, f"slot{chosen.getrandbits(12)}")
                elif kind == "job":
                    self._units.job(key)
                else:
                    getattr(self._units, kind)(order)

        return inside

    def _end(self) -> None:
        for thread in self._threads.values():
            thread.join(PATIENCE)
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


def main() -> None:
    """Run one worker."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm.worker")
    parser.add_argument("--url", required=True)
    parser.add_argument("--diary", type=Path, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--safe", action="store_true")
    logging.basicConfig(level=logging.CRITICAL)
    logger.setLevel(logging.ERROR)
    Worker(parser.parse_args()).run()


if __name__ == "__main__":
    main()
