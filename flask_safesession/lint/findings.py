"""What the checker says: one :class:`Finding` for each place, with the path to it in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["LEVELS", "Finding", "Level", "Step", "one_line"]

Level = Literal["error", "warning", "note"]

_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Step:
    """One place on the path to a finding.

    Attributes:
        path: The file, relative to the root of the run, with forward slashes.
        line: Counted from 1.
        text: What happens there, for example ``'session' is made by 'SessionLocal()'``.
    """

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that a rule objects to.

    Attributes:
        path: The file, relative to the root of the run, with forward slashes.
        line: Counted from 1, as are the columns.
        rule: The id, for example ``TXN301``.
        level: How sure the rule is: ``error``, ``warning`` or ``note``.
        message: The fact and its cause, in one sentence or two.
        call: The call to make instead.
        function: The qualified name of the function, empty at module level.
        steps: How the checked code gets there.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    rule: str
    level: Level
    message: str
    call: str
    function: str
    steps: tuple[Step, ...] = ()


def one_line(path: str) -> str:
    """Return the path of a file as a line shows it: a newline in it, and its like, are escaped."""
    return _BREAKS.sub(lambda found: repr(found[0])[1:-1], path)
