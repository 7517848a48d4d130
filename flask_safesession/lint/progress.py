"""How far a long run is, for a person at a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress"]

_PATIENCE = 2.0


class Progress:
    """Shows how many files were read, once a run has lasted two seconds, until it is closed.

    It is a bar where Rich is installed, and else one line that is written over.

    Args:
        stream: Where to show it, usually stderr; nothing is shown unless it is a terminal.
        clock: Tells the time in seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._began = clock()
        self._show: _Line | _Bar | None = None

    def __call__(self, done: int, total: int) -> None:
        """Say that *done* of *total* files were read."""
        if self._show is None:
            if not self._stream.isatty() or self._clock() - self._began < _PATIENCE:
                return
            self._show = _Bar(self._stream) if _has_rich() else _Line(self._stream)
        self._show.update(done, total)

    def close(self) -> None:
        """Take it away."""
        if self._show is not None:
            self._show.clear()


def _has_rich() -> bool:
    try:
        import rich.progress  # noqa: F401 - a pleasure that an extra brings
    except ImportError:
        return False
    return True


class _Line:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def update(self, done: int, total: int) -> None:
        text = f"Checking: {done} of {total} files"
        self._write(text)
        self._width = len(text)

    def clear(self) -> None:
        self._write("")
        self._stream.write("\r")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text.ljust(self._width)}")
        self._stream.flush()


class _Bar:
    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        self._bar: RichProgress = RichProgress(console=Console(file=stream), transient=True)
        self._task: TaskID = self._bar.add_task("Checking", total=None)
        self._bar.start()

    def update(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def clear(self) -> None:
        self._bar.stop()
