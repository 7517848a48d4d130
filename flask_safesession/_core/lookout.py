"""A thread that looks after something each second, or earlier where something is due, while there is anything."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple

from .daemons import start_daemon
from .forks import after_fork_in_child

__all__ = ["Look", "Lookout"]

logger = logging.getLogger("flask_safesession")

_LONGEST_PAUSE = 1.0  # seconds
_IDLE_SECONDS = 10.0

_lookouts: weakref.WeakSet[Lookout] = weakref.WeakSet()


class Look(NamedTuple):
    """What was seen.

    Attributes:
        idle: There was nothing to watch.
        pause: Seconds until something may be due.
    """

    idle: bool
    pause: float = _LONGEST_PAUSE


class Lookout:
    """Calls *look* each second or earlier; there is no thread while it sees nothing to watch.

    Args:
        name: The name of the thread.
        look: Does what is due.

    Attributes:
        awake: Whether the thread runs; to be read without a lock before :meth:`wake`.
    """

    def __init__(self, name: str, look: Callable[[], Look]) -> None:
        self._name = name
        self._look = look
        self.reset()
        _lookouts.add(self)

    def reset(self) -> None:
        """Begin anew, in a forked child, which has neither the thread nor the owner of the lock."""
        self.awake = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def stop(self) -> None:
        """End the thread before a fork, of which Python warns where there are several; the next one to wake it may."""
        thread = self._thread
        if thread is not None:
            self._stop.set()
            thread.join(_LONGEST_PAUSE)

    def wake(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self.awake:
                return
            self.awake = True
        # Not under the lock: gevent goes on with another greenlet here, and that could not wait for it.
        self._stop.clear()
        self._thread = start_daemon(self._name, self._run)
        self.awake = self._thread is not None

    def _run(self) -> None:
        idle = 0.0
        while idle < _IDLE_SECONDS and not self._stop.is_set():
            look = self._looked()
            idle = idle + look.pause if look.idle else 0.0
            self._stop.wait(min(look.pause, _LONGEST_PAUSE))
        self.awake = False  # what comes from now on, wakes it
        if not self._stop.is_set() and not self._looked().idle:
            self.wake()

    def _looked(self) -> Look:
        try:
            return self._look()
        except Exception:
            logger.exception("The thread '%s' could not do what was due.", self._name)
            return Look(idle=False)


def _stop_all() -> None:
    for each in list(_lookouts):
        each.stop()


def _reset_all() -> None:
    for each in list(_lookouts):
        each.reset()


after_fork_in_child(_reset_all)
with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(before=_stop_all)
