"""Which findings a run is about: by rule, by path and by level."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from .findings import LEVELS, Finding, Level

__all__ = ["Selection"]


@dataclass(frozen=True)
class Selection:
    """What is looked at, and what of it is shown.

    Attributes:
        select: Ids and prefixes of ids; empty means all.
        ignore: Those to leave out. Where both name a rule, the longer prefix decides.
        per_path: Globs over paths relative to the root, each with what is left out there.
        level: The least certain level that is shown.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_path: tuple[tuple[str, tuple[str, ...]], ...] = ()
    level: Level = "warning"

    def looks_at(self, rule: str, path: str) -> bool:
        """Whether findings of *rule* in *path* count."""
        if _longest(rule, self.select or ("",)) <= _longest(rule, self.ignore):
            return False
        return not any(
            rule.startswith(prefixes) and fnmatch(path, glob) for glob, prefixes in self.per_path
        )

    def shows(self, finding: Finding) -> bool:
        """Whether the level of *finding* is certain enough to be shown."""
        return LEVELS.index(finding.level) <= LEVELS.index(self.level)


def _longest(rule: str, prefixes: tuple[str, ...]) -> int:
    return max((len(each) for each in prefixes if rule.startswith(each)), default=-1)
