"""What a run has to say, before it is put into a format."""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .files import read
from .findings import Finding
from .suppressions import Silenced

__all__ = ["Report", "Sources", "sorted_findings"]


class Sources:
    """The lines of the checked files, read when an output wants to show some.

    Args:
        root: What the paths of the findings are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lines: dict[str, list[str]] = {}

    def lines(self, path: str) -> list[str]:
        """Return the lines of the file that a finding calls *path*; none if it can no longer be read."""
        if path not in self._lines:
            self._lines[path] = _decode(self.root / path)
        return self._lines[path]

    def line(self, path: str, number: int) -> str:
        """Return one line, counted from 1; empty where the file has no such line."""
        lines = self.lines(path)
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def shown(self, path: str) -> str:
        """Return *path* as a person at the command line would write it: relative to the working directory."""
        return _relative(self.root / path, Path.cwd())

    def in_repository(self, path: str) -> str:
        """Return *path* relative to the top of the repository, which is what a code host knows."""
        return _relative(self.root / path, self._repository)

    @cached_property
    def _repository(self) -> Path:
        for directory in (self.root, *self.root.parents):
            if (directory / ".git").exists():
                return directory
        return self.root


def _decode(file: Path) -> list[str]:
    try:
        content = read(file)
    except OSError:
        return []
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return _lines(content, encoding)
    except (SyntaxError, LookupError, ValueError):
        return _lines(content, "utf-8")


def _lines(content: bytes, encoding: str) -> list[str]:
    """Python's own idea of a line: a form feed or U+2028 does not end one, as ``str.splitlines()`` believes."""
    return io.TextIOWrapper(io.BytesIO(content), encoding, "replace").read().split("\n")


def _relative(path: Path, base: Path) -> str:
    """The path below *base* with forward slashes, or the whole path where it lies elsewhere."""
    whole = Path(os.path.normpath(path))
    return (whole.relative_to(base) if whole.is_relative_to(base) else whole).as_posix()


@dataclass(frozen=True)
class Report:
    """The outcome of one run.

    Attributes:
        sources: The files that the findings are about.
        files: How many files were checked.
        shown: The findings that count.
        hidden: Those below the level that was asked for.
        silenced: Those that a comment or the baseline accepts.
    """

    sources: Sources
    files: int
    shown: tuple[Finding, ...]
    hidden: tuple[Finding, ...] = ()
    silenced: tuple[Silenced, ...] = ()

    def accepted(self, kind: str) -> int:
        """How many findings are accepted by a comment (``inSource``) or the baseline (``external``)."""
        return sum(each.kind == kind for each in self.silenced)


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return *findings* in the order of their places."""
    return tuple(sorted(findings, key=lambda each: (each.path, each.line, each.column, each.rule)))
