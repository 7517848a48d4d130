"""The files to rewrite: read once, written only if nobody else has written them since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import libcst as cst

from ..storage import write_atomically

__all__ = ["Source", "Unfit", "compiles", "parse", "refuse_changed", "write"]

_LONGEST_LINE = 10_000  # LibCST needs minutes for a line of megabytes


class Unfit(Exception):  # noqa: N818 - it is a result, which no user sees raised
    """Why a file cannot be rewritten."""


@dataclass(frozen=True)
class Source:
    """A file.

    Attributes:
        name: As findings name it.
        path: Where it is.
        data: What it held when the run began.
    """

    name: str
    path: Path
    data: bytes


def parse(data: bytes) -> cst.Module:
    """Return the tree of *data*, which gives back every byte.

    Raises:
        Unfit: If LibCST cannot read it in time, cannot read it at all, or would lose something of it.
    """
    _refuse_long_lines(data)
    try:
        tree = cst.parse_module(data)
    except (
        cst.ParserSyntaxError,
        UnicodeError,
        LookupError,
        SyntaxError,
        ValueError,
        RecursionError,
    ) as error:
        raise Unfit(f"LibCST cannot read it: {str(error).splitlines()[0]}") from error
    if tree.bytes != data:
        raise Unfit(
            "LibCST does not reproduce it byte for byte (a form feed, or line ends of several kinds)"
        )
    return tree


def _refuse_long_lines(data: bytes) -> None:
    for number, line in enumerate(data.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            raise Unfit(f"line {number} is longer than {_LONGEST_LINE:,} bytes")


def compiles(data: bytes) -> bool:
    """Whether this Python compiles *data*; LibCST accepts more, such as a ``__future__`` that comes too late."""
    try:
        compile(data, "<rewritten>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def write(source: Source, data: bytes) -> None:
    """Replace the file by *data* in one step, with its mode.

    Raises:
        Unfit: If the file has changed since it was read, or cannot be written.
    """
    refuse_changed(source)
    try:
        mode = source.path.stat().st_mode
        write_atomically(source.path, data)
        source.path.resolve().chmod(mode & 0o7777)
    except OSError as error:
        raise Unfit(f"'{source.name}' could not be written: {error.strerror or error}") from error


def refuse_changed(source: Source) -> None:
    """Make sure that the file is as it was read.

    Raises:
        Unfit: If it is not.
    """
    try:
        data = source.path.read_bytes()
    except OSError as error:
        raise Unfit(f"'{source.name}' can no longer be read: {error.strerror or error}") from error
    if data != source.data:
        raise Unfit(
            f"'{source.name}' changed while it was being rewritten: nothing was written. Run the command again"
        )
