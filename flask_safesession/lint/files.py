"""Which files there are to read, and what they hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["collect", "read"]

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
    are followed once, and a file that is named itself is always taken. What cannot be read is among them, a directory
    that cannot be listed too: :func:`read` has the reason.

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


def read(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: If it cannot be read, or is none: a pipe would have its reader wait for ever.
    """
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        os.scandir(path).close()  # raises what the walk has seen
    if not stat.S_ISREG(kind):
        raise OSError(0, "it is no regular file")
    return path.read_bytes()


def _below(top: Path) -> Iterator[Path]:
    seen = {os.path.realpath(top)}
    unread: list[OSError] = []
    for directory, names, files in os.walk(top, onerror=unread.append, followlinks=True):
        names[:] = sorted(name for name in names if _entered(directory, name, seen))
        yield from (Path(directory, name) for name in sorted(files) if _is_python(name))
    yield from (Path(each.filename) for each in unread)


def _is_python(name: str) -> bool:
    """Whether it is a file of Python's; ``.#name.py`` is a link to nothing by which editors lock one."""
    return name.endswith((".py", ".pyi")) and not name.startswith(".#")


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
    # A directory is here only if it cannot be listed: it is excluded with all of its files.
    return any(fnmatch(name, glob) or fnmatch(f"{name}/", glob) for glob in globs)
