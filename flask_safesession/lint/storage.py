"""Files that are either old or new, never half written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Replace *path* by *parts*, one after the other, in one step.

    A reader at the same time sees the old bytes or the new ones. A link is followed, and what is not a regular file,
    such as ``/dev/stdout``, is written to as it is.

    Raises:
        OSError: If the directory cannot be written to.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        _write(target, parts)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write(temporary, parts)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as stream:
        stream.writelines(parts)
