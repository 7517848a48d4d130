"""Where in the reader's program something happened, captured at the price of two attribute reads.

A place is a code object and an instruction offset. It never holds a frame: a frame keeps its local variables alive,
and with them sessions and the connections that they hold.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

__all__ = [
    "AWAITED_BY",
    "Caller",
    "Place",
    "beyond",
    "caller_beyond",
    "function_place",
    "here",
    "is_library",
    "module_at",
    "outside",
    "place_of",
]

_LIBRARIES = (
    "flask_safesession",
    "sqlalchemy",
    "flask_sqlalchemy",
    "flask_sqlalchemy_lite",
    "werkzeug.local",
)
AWAITED_BY = "_safesession_awaited_by"
"""The attribute of a greenlet of SQLAlchemy that holds the frame to go on from, where that is not the one around it."""

_NOT_OURS = ("contextlib", "concurrent.futures", "asyncio", "threading")


class Place(NamedTuple):
    """One point of a program, resolved to text only when somebody asks."""

    code: CodeType
    offset: int

    @property
    def function(self) -> str:
        """The name of the function, as its author wrote it."""
        return self.code.co_name

    @property
    def path(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        """The line number; the function's first line where the instruction has none."""
        for start, end, line in self.code.co_lines():
            if start <= self.offset < end and line is not None:
                return line
        return self.code.co_firstlineno

    @property
    def where(self) -> str:
        """``path:line``, relative to the working directory where the file lies below it."""
        return f"{_short(self.path)}:{self.line}"

    def __str__(self) -> str:
        return f"'{self.function}' ({self.where})"


class Caller(NamedTuple):
    """The innermost line outside the libraries, and the library function that it called."""

    place: Place
    names: dict[str, Any]
    called: str

    @property
    def module(self) -> str:
        """The name of the module that the line is in."""
        name: str = self.names.get("__name__", "")
        return name

    def warn(self, text: str, category: type[Warning]) -> None:
        """Warn at that line: once, unless the program's filters say otherwise."""
        registry = self.names.setdefault("__warningregistry__", {})
        path, line = self.place.path, self.place.line
        warnings.warn_explicit(text, category, path, line, self.module, registry)


def here(depth: int) -> Place:
    """The place *depth* frames above the function that calls this one."""
    frame = sys._getframe(depth + 1)
    return tuple.__new__(Place, (frame.f_code, frame.f_lasti))  # half the price of Place(…)


class _Libraries(dict["str | None", bool]):
    """Whether each module is a library's: a look-up in a dictionary is the cheapest way to ask twenty times."""

    def __missing__(self, module: str | None) -> bool:
        known = self[module] = module is not None and is_library(module)
        return known


_libraries = _Libraries()


def caller_beyond(depth: int) -> Place:
    """The innermost place of the reader's program.

    Args:
        depth: How many frames above the caller are surely not the program's: each costs something to look at.
    """
    depth += 1
    while _libraries[module_at(depth)]:
        depth += 1
    try:
        frame = sys._getframe(depth)
    except ValueError:
        # Nobody's program, or what SQLAlchemy runs for a coroutine: from the outermost frame.
        frame = beyond(sys._getframe(depth - 1))
    if frame.f_code.co_filename == "<string>":
        frame = beyond(frame)
    return tuple.__new__(Place, (frame.f_code, frame.f_lasti))  # as above


def _module_at(depth: int) -> str | None:
    try:
        name: str = sys._getframe(depth + 1).f_globals.get("__name__", "")
    except ValueError:  # there are not that many frames
        return None
    return name


# The module of the frame that lies *depth* above the caller, None if there is none. Python 3.12 makes no object of the
# frame for it, which costs more than all else that is done when a connection is taken.
module_at: Callable[[int], str | None] = getattr(sys, "_getframemodulename", _module_at)


def place_of(frame: FrameType) -> Place:
    """The innermost place of the reader's program, from *frame* outwards."""
    frame = beyond(frame)
    return Place(frame.f_code, frame.f_lasti)


def _awaiting(frame: FrameType) -> FrameType | None:
    """What called *frame*, the outermost one: of a greenlet that SQLAlchemy spawned, the coroutine that awaits it."""
    if "greenlet" not in sys.modules:
        return None
    greenlet: Any = sys.modules["greenlet"].getcurrent()
    if not getattr(greenlet, "__sqlalchemy_greenlet_provider__", False):
        return None
    outermost = sys._getframe()
    while outermost.f_back is not None:
        outermost = outermost.f_back
    if outermost is not frame:
        return None
    found: FrameType | None = getattr(greenlet, AWAITED_BY, None) or greenlet.parent.gr_frame
    return found


def beyond(frame: FrameType) -> FrameType:
    """The innermost frame of the reader's program, from *frame* outwards."""
    while (back := frame.f_back or _awaiting(frame)) is not None:
        module = frame.f_globals.get("__name__", "")
        if not (is_library(module) or frame.f_code.co_filename == "<string>"):
            break
        frame = back
    return frame


def function_place(code: CodeType) -> Place:
    """The place of a function's definition."""
    return Place(code, -1)


def outside(fallback: str = "") -> Caller:
    """The innermost line outside SQLAlchemy, Flask-SQLAlchemy and this package."""
    frame: FrameType = sys._getframe(1)
    called = fallback
    while (back := frame.f_back or _awaiting(frame)) is not None:
        module = frame.f_globals.get("__name__", "")
        if not (is_library(module) or frame.f_code.co_filename == "<string>"):
            break
        if module not in _NOT_OURS:
            called = frame.f_code.co_name
        frame = back
    place = tuple.__new__(Place, (frame.f_code, frame.f_lasti))  # as above, and so is the next line
    return tuple.__new__(Caller, (place, frame.f_globals, called))


@functools.lru_cache(maxsize=4096)
def is_library(module: str) -> bool:
    """Whether what is in *module* is none of the reader's program."""
    return any(module == name or module.startswith(name + ".") for name in _LIBRARIES + _NOT_OURS)


def _short(path: str) -> str:
    base = f"{Path.cwd()}{os.sep}"
    return path.removeprefix(base)
