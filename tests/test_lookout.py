"""The thread that looks at the connections: it comes when it is needed, and goes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from flask_safesession._core import lookout
from flask_safesession._core.lookout import Look, Lookout

SECONDS = 10


class Views:
    """What the thread sees, one after the other, and after that nothing."""

    def __init__(self, *views: Look | Exception) -> None:
        self._views: Iterator[Look | Exception] = iter(views)
        self.seen = threading.Event()

    def look(self) -> Look:
        view = next(self._views, None)
        if view is None:
            self.seen.set()
            return Look(idle=True, pause=0.01)
        if isinstance(view, Exception):
            raise view
        return view


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be idle for less than ten seconds."""
    monkeypatch.setattr(lookout, "_IDLE_SECONDS", 0.05)
    monkeypatch.setattr(lookout, "_LONGEST_PAUSE", 0.05)


def thread_of(watch: Lookout) -> threading.Thread:
    assert watch._thread is not None
    return watch._thread


def test_it_ends_when_there_is_nothing_to_watch() -> None:
    """An app that is idle has no thread more than before."""
    watch = Lookout("safesession-test", Views(Look(idle=False, pause=0.01)).look)
    watch.wake()
    thread_of(watch).join(SECONDS)
    assert (thread_of(watch).is_alive(), watch.awake) == (False, False)


def test_there_is_one_thread_at_a_time() -> None:
    """Who wakes it while it runs changes nothing."""
    watch = Lookout("safesession-test", Views(*[Look(idle=False, pause=0.01)] * 20).look)
    watch.wake()
    first = thread_of(watch)
    watch.wake()
    assert thread_of(watch) is first
    watch.stop()


def test_it_ends_at_once_before_a_fork() -> None:
    """Python warns of a fork in a process with several threads; the next who takes a connection wakes it."""
    watch = Lookout("safesession-test", lambda: Look(idle=False, pause=60))
    watch.stop()
    watch.wake()
    watch.stop()
    assert (thread_of(watch).is_alive(), watch.awake) == (False, False)
    watch.wake()
    assert thread_of(watch).is_alive()
    watch.stop()


def test_it_survives_what_it_looks_at(caplog: pytest.LogCaptureFixture) -> None:
    """A read-out that fails is logged, and the next one is made."""
    views = Views(ValueError("odd"))
    watch = Lookout("safesession-test", views.look)
    watch.wake()
    assert views.seen.wait(SECONDS)
    watch.stop()
    assert "'safesession-test' could not do what was due" in caplog.text
