"""TXN001: a file that could not be parsed."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis
from ..facts import ModuleFacts
from ..findings import Finding
from .base import Rule

__all__ = ["RULE", "not_checked"]


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return nothing: such a file never gets as far as an analysis."""
    return iter(())


def not_checked(facts: ModuleFacts) -> Finding:
    """Return the finding for a file that was not read."""
    message = f"'{facts.path}' was not checked, because {facts.error}."
    line = facts.error_line
    return Finding(
        facts.path, line, 1, line, 1, RULE.id, "error", message, "Mend the file, or exclude it.", ""
    )


RULE = Rule(
    "TXN001",
    "not-checked",
    ("error",),
    "a file that could not be parsed",
    find,
)
