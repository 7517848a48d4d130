"""What goes wrong inside a worker: an exception at any line, a thread killed, a fork, a pool run dry."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from .bank import CONNECTIONS, Site
from .diary import FAULT, Diary

__all__ = ["Killed", "Mischief", "StormError"]

_PATIENCE: Final = 5.0  # seconds for a forked child to end, and for the connections to be let go
_LINES: Final = 16  # of the longest unit
_BODIES: Final = ("benchmarks.storm.units", "benchmarks.storm.bank")


class StormError(Exception):
    """What a unit of work raises for no reason of its own."""


class Killed(SystemExit):
    """What a thread gets that is ended from outside."""


class Mischief:
    """Puts faults into the units of one worker.

    Args:
        site: The app.
        diary: Where they are written down.
        rate: How many of a hundred units get a fault of their own.
    """

    def __init__(self, site: Site, diary: Diary, rate: float) -> None:
        self._site = site
        self._diary = diary
        self._rate = rate
        self._drought = threading.Thread()

    @contextmanager
    def around(self, chosen: random.Random) -> Iterator[None]:
        """Let a unit of work meet a fault, or none."""
        luck = chosen.random() * 100
        if luck >= self._rate:
            yield
        elif luck < self._rate * 0.7:
            with self.at_a_line(chosen.randint(1, _LINES), self.fail):
                yield
        else:
            with self.at_a_line(chosen.randint(3, _LINES), self._fork):
                yield

    @contextmanager
    def at_a_line(self, number: int, act: Callable[[], None]) -> Iterator[None]:
        """Do *act* at the line with that *number*, counted over all lines of the unit's body."""
        left = number

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_globals.get("__name__") not in _BODIES:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    act()
            return trace

        before = sys.gettrace()  # such as what measures the coverage of a test
        sys.settrace(trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def fail(self) -> None:
        """Raise.

        Raises:
            StormError: Always.
        """
        self._diary.note(FAULT, "exception")
        raise StormError

    def _fork(self) -> None:
        """A child that ends as careless code does, and an open transaction of its parent."""
        self._diary.note(FAULT, "fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child:
            _wait_for(child)
            return
        with suppress(BaseException):
            sys.settrace(None)
            self._site.session.rollback()
        os._exit(0)

    def run_dry(self, chosen: random.Random) -> None:
        """Hold all connections of the pool for a moment: less or more than a unit waits for one."""
        if not self._drought.is_alive():
            self._diary.note(FAULT, "pool")
            seconds = chosen.uniform(0.1, 1.3)
            self._drought = threading.Thread(target=self._hold_all, args=(seconds,), daemon=True)
            self._drought.start()

    def _hold_all(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with ExitStack() as held, suppress(SQLAlchemyError, OSError):
            for _ in range(CONNECTIONS):
                held.enter_context(self._site.engine.connect())
            threading.Event().wait(max(0.0, until - time.monotonic()))

    def rest(self) -> None:
        """Wait until nothing of it goes on."""
        if self._drought.is_alive():
            self._drought.join(_PATIENCE)

    def kill(self, thread: threading.Thread) -> None:
        """End *thread* at whatever line it is."""
        self._diary.note(FAULT, "thread")
        number = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(Killed))


def _wait_for(child: int) -> None:
    until = time.monotonic() + _PATIENCE
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        threading.Event().wait(0.005)
