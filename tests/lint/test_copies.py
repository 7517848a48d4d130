"""Work is shared with a copy of the process."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from flask_safesession.lint.copies import shared

linux = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")


@linux
def test_the_second_runs_in_a_copy() -> None:
    """Both give what they give here, and the copy is another process."""
    mine, other = shared(os.getpid, os.getpid)
    assert mine == os.getpid() != other


def test_a_process_with_threads_makes_no_copy() -> None:
    """What another thread holds would be held in the copy for ever."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert shared(os.getpid, os.getpid) == (os.getpid(), os.getpid())
    finally:
        done.set()
        thread.join()


@linux
def test_what_a_dying_copy_leaves_is_done_here() -> None:
    """As where the system ends it for want of memory."""
    here = os.getpid()

    def die_elsewhere() -> str:
        if os.getpid() != here:
            os._exit(9)
        return "done"

    assert shared(lambda: "mine", die_elsewhere) == ("mine", "done")


def test_elsewhere_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy by another way would know nothing."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert shared(os.getpid, os.getpid) == (os.getpid(), os.getpid())
