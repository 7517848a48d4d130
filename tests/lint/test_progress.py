"""The progress of a long run is shown to people only."""

from __future__ import annotations

import sys
from contextlib import closing
from io import StringIO
from itertools import chain, repeat

import pytest

from flask_safesession.lint.progress import Progress


class Terminal(StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def _shown(stream: StringIO, *seconds: float) -> str:
    times = chain(seconds, repeat(seconds[-1]))
    with closing(Progress(stream, lambda: next(times))) as progress:
        for done in range(len(seconds)):
            progress(done, 1200)
    return stream.getvalue()


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich is not installed."""
    monkeypatch.setitem(sys.modules, "rich.progress", None)


def test_a_short_run_shows_nothing() -> None:
    """Nobody has waited yet."""
    assert _shown(Terminal(), 0, 1.0, 1.9) == ""


def test_a_file_or_pipe_gets_nothing() -> None:
    """A log would be full of it."""
    assert _shown(StringIO(), 0, 5.0, 9.0) == ""


@pytest.mark.usefixtures("no_rich")
def test_a_long_run_shows_one_line() -> None:
    """It is written over, and is gone at the end."""
    line = "\rChecking: {} of 1200 files"
    end = f"\r{' ' * 25}\r"
    assert _shown(Terminal(), 0, 1.0, 2.0) == line.format(1) + line.format(2) + end


def test_rich_shows_a_bar() -> None:
    """Where it is installed."""
    shown = _shown(Terminal(), 0, 2.0, 2.5)
    assert ("Checking" in shown, "files" in shown) == (True, False)
