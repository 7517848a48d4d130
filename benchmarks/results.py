"""What a case returns: rows for the table, and the targets that it met or missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .measure import Samples, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

MICROSECOND = 1e-6


@dataclass(frozen=True)
class Row:
    """One line of a table, all cells as text."""

    cells: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A promise of the project and what was found."""

    promise: str
    found: str
    met: bool


@dataclass(frozen=True)
class Result:
    """The table of one case."""

    title: str
    explanation: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    targets: Sequence[Target] = ()


COMPARISON = ("what", "median µs", "quartiles µs", "x baseline", "quartiles of the pairs")


def compared(name: str, samples: Samples, baseline: Samples) -> Row:
    """Return the line of a contender beside its baseline."""
    against = ratio(samples, baseline)
    return Row(
        (
            name,
            microseconds(samples.median),
            " - ".join(microseconds(quartile) for quartile in samples.quartiles),
            f"{against.value:.3f}",
            f"{against.low:.3f} - {against.high:.3f}",
        )
    )


def at_most(promise: str, found: float, limit: float, unit: str) -> Target:
    """Return the verdict on *found*, which has to be *limit* or less."""
    return Target(promise, f"{found:.3f} {unit}", found <= limit)


def microseconds(seconds: float) -> str:
    """Return *seconds* as a number of microseconds."""
    value = seconds / MICROSECOND
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
