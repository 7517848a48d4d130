"""Threads that look after something."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from flask_safesession._core.daemons import start_daemon

_LATE = """
import threading
from flask_safesession._core.daemons import start_daemon

def late():
    threading.main_thread().join()
    threading.Event().wait(0.2)
    print(start_daemon("late", print) is not None)

threading.Thread(target=late).start()
"""


def test_a_thread_that_can_be_started() -> None:
    """It runs, and holds nobody up."""
    ran = threading.Event()
    assert start_daemon("safesession-test", ran.set)
    assert ran.wait(10)


def test_the_end_of_the_interpreter() -> None:
    """Python 3.12 starts none then: who needs it goes on without, and a last COMMIT goes out."""
    program = subprocess.run(
        [sys.executable, "-c", _LATE], capture_output=True, text=True, check=True, timeout=30
    )
    told = {(3, 12): "False"}.get(sys.version_info[:2], "True")
    assert (program.stdout.split(), program.stderr) == ([told], "")


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the end of the interpreter does, on every Python."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert start_daemon("safesession-test", print) is None
