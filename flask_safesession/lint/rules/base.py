"""What every rule has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..findings import Finding, Level

if TYPE_CHECKING:
    from ..analysis import Analysis

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding.

    Attributes:
        id: The name in reports and suppressions; it never changes.
        slug: The name in words, which is also that of the rule's page.
        levels: The levels that its findings may have, the most certain first.
        summary: What it finds, in one line.
        find: Its findings in a whole project.
    """

    id: str
    slug: str
    levels: tuple[Level, ...]
    summary: str
    find: Callable[[Analysis], Iterable[Finding]]
