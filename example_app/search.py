"""What a running solver has found so far, for those who watch it or stop it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Search:
    """One search for a roster: the solver writes, others read.

    The solver calls from threads of its own, which have no application context; so nothing here
    knows a database. Each attribute is set by itself, which needs no lock.

    Attributes:
        objective: The cost of the best roster so far; None before the first.
        bound: No roster can be cheaper; None while that is unknown.
        stopped: Whether somebody asked for the end of the search.
    """

    def __init__(self) -> None:
        self.objective: int | None = None
        self.bound: int | None = None
        self.stopped = False
        self._began = time.monotonic()
        self._end: Callable[[], object] | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self._began

    def found_bound(self, bound: float) -> None:
        """Note that no roster is cheaper than *bound*."""
        self.bound = round(bound)

    def end_with(self, end: Callable[[], object]) -> None:
        """Call *end* where somebody wants to stop the search."""
        self._end = end

    def stop(self) -> None:
        """End the search; once more does no harm, and catches a solver that had not begun yet."""
        self.stopped = True
        if self._end is not None:
            self._end()
