"""The file that says how many findings of each rule a path had when the project began to check itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .findings import Finding
from .refusals import CannotRunError
from .storage import write_atomically

__all__ = ["Baseline", "Key"]

Key = tuple[str, str]
"""A path relative to the root, and a rule."""

_LINE = re.compile(r"(?P<path>.+)::(?P<rule>[A-Z]+[0-9]+)::(?P<count>[0-9]+)")


@dataclass(frozen=True)
class Baseline:
    """How many findings are accepted, by path and rule.

    Attributes:
        counts: The accepted number by path and rule.
    """

    counts: Mapping[Key, int] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Baseline | None:
        """Read *file*; None if there is none.

        Raises:
            CannotRunError: If it cannot be read, or a line is not ``path::rule::count``.
        """
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CannotRunError(f"The baseline '{file}' could not be read: {error}") from error
        lines = enumerate(text.splitlines(), 1)
        return cls(dict(_entry(file, number, line) for number, line in lines if line.strip()))

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Baseline:
        """Accept all of *findings*."""
        return cls(Counter(_key(finding) for finding in findings))

    def split(self, findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding]]:
        """Return what is new and what is accepted of *findings*.

        Which one of several in a file is the new one cannot be told from a count: then all of that rule are new.
        """
        findings = list(findings)
        there = Counter(_key(finding) for finding in findings)
        new: list[Finding] = []
        accepted: list[Finding] = []
        for finding in findings:
            key = _key(finding)
            (new if there[key] > self.counts.get(key, 0) else accepted).append(finding)
        return new, accepted

    def tightened(
        self, findings: Iterable[Finding], was_checked: Callable[[Key], bool]
    ) -> Baseline:
        """Return the same with the lower of both numbers wherever this run could see the findings."""
        there = Counter(_key(finding) for finding in findings)
        counts = {
            key: min(count, there[key]) if was_checked(key) else count
            for key, count in self.counts.items()
        }
        return Baseline({key: count for key, count in counts.items() if count})

    def write(self, file: Path) -> None:
        """Write it to *file*, one line for each path and rule, sorted, so that a review shows what changed.

        Raises:
            CannotRunError: If it cannot be written.
        """
        counts = sorted(self.counts.items())
        lines = [f"{_written(path)}::{rule}::{count}\n" for (path, rule), count in counts]
        try:
            write_atomically(file, "".join(lines).encode("utf-8", "surrogateescape"))
        except OSError as error:
            reason = error.strerror or error
            raise CannotRunError(f"The baseline '{file}' could not be written: {reason}") from error


def _key(finding: Finding) -> Key:
    return finding.path, finding.rule


def _entry(file: Path, number: int, line: str) -> tuple[Key, int]:
    found = _LINE.fullmatch(line.strip())
    path = None if found is None else _read(found["path"])
    if found is None or path is None:
        raise CannotRunError(f"{file}:{number}: '{line}' is not 'path::rule::count'.")
    return (path, found["rule"]), int(found["count"])


def _written(path: str) -> str:
    """Return a path that goes into one line: one with a newline in it is escaped."""
    plain = "\\" not in path and path.splitlines() == [path]
    return path if plain else path.encode("unicode_escape").decode()


def _read(path: str) -> str | None:
    """Return a path as it was before it was written, None where nobody could have written it."""
    try:
        return path if "\\" not in path else path.encode("ascii").decode("unicode_escape")
    except UnicodeError:
        return None
