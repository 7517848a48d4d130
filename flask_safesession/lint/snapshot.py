"""What the files held when a run began: enough to know whether anything has changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cache import digest
from .comments import MARK
from .files import read

__all__ = ["Snapshot", "relative_name"]


@dataclass(frozen=True)
class Snapshot:
    """The files of a run.

    Attributes:
        files: By their path relative to the root, as findings name them.
        digests: A hash of each content.
        marked: The paths with something in it that may be a comment to the checker.
    """

    files: Mapping[str, Path]
    digests: Sequence[str]
    marked: frozenset[str]

    @classmethod
    def take(cls, files: Iterable[Path], root: Path) -> Snapshot:
        """Read each of *files* once."""
        named = {relative_name(file, root): file for file in files}
        digests, marked = [], set()
        for name, file in named.items():
            content = _content(file)
            digests.append(digest([content]))
            if MARK in content:
                marked.add(name)
        return cls(named, digests, frozenset(marked))

    def key(self) -> str:
        """A hash of all names and contents."""
        return digest(
            part.encode("utf-8", "surrogateescape") for part in (*self.files, *self.digests)
        )

    def names_key(self) -> str:
        """A hash of all names."""
        return digest(name.encode("utf-8", "surrogateescape") for name in self.files)


def _content(file: Path) -> bytes:
    try:
        return read(file)
    except OSError as error:
        # The checker says so (TXN001); another reason next time is another content.
        return str(error).encode("utf-8", "surrogateescape")


def relative_name(file: Path, root: Path) -> str:
    """Return the path of *file* as findings have it: relative to *root*, with forward slashes."""
    return os.path.relpath(file, root).replace(os.sep, "/")
