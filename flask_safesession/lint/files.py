"""Which files there are to read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["collect"]

_LEFT_OUT = frozenset(
    {
        "__pycache__",
        "__pypackages__",
        "node_modules",
        "site-packages",
        "venv",
    }
)


def collect(paths: Iterable[Path], exclude: Iterable[str] = (), *, root: Path) -> list[Path]:
    """Return the Python files below *paths*, each once, in the order of their names.

    Directories of tools (those with a leading dot, virtual environments, caches) are left out, links to directories
    are followed once, and a file that is named itself is always taken.

    Args:
        paths: Files and directories.
        exclude: Globs over the path relative to *root*, for example ``app/legacy/*``.
        root: What the globs are relative to.
    """
    globs = tuple(exclude)
    found: dict[str, Path] = {}
    for path in paths:
        for each in [path] if not path.is_dir() else _below(path):
            if each == path or not _excluded(each, globs, root):
                found.setdefault(os.path.realpath(each), each)
    return sorted(found.values())


def _below(top: Path) -> Iterator[Path]:
    seen = {os.path.realpath(top)}
    for directory, names, files in os.walk(top, followlinks=True):
        names[:] = sorted(name for name in names if _entered(directory, name, seen))
        for name in sorted(files):
            if name.endswith((".py", ".pyi")):
                path = Path(directory, name)
                if _is_regular(path):
                    yield path


def _is_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # whoever reads it says why it cannot be read
        return True


def _entered(directory: str, name: str, seen: set[str]) -> bool:
    path = os.path.join(directory, name)  # noqa: PTH118 - a walk over 10,000 directories
    if name in _LEFT_OUT or name.startswith("."):
        return False
    if os.path.exists(f"{path}/pyvenv.cfg"):  # noqa: PTH110 - Path.exists() raises PermissionError
        return False
    if os.path.islink(path):  # noqa: PTH114
        real = os.path.realpath(path)
        if real in seen:
            return False
        seen.add(real)
    return True


def _excluded(path: Path, globs: tuple[str, ...], root: Path) -> bool:
    if not globs:
        return False
    name = os.path.relpath(path, root).replace(os.sep, "/")
    return any(fnmatch(name, glob) for glob in globs)
