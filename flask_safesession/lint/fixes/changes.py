"""What a codemod wants to do, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import libcst as cst

from ..symbols import Function

__all__ = ["Change", "Left", "Outcome"]


@dataclass(frozen=True, eq=False)
class Change:
    """One change that is made as a whole or not at all.

    Attributes:
        path: The file of the function.
        line: Where the change begins.
        function: The function that it is about.
        edits: New nodes for old ones, in all files that it changes.
        imports: These files, with the names of ``flask_safesession`` that each uses then.
    """

    path: str
    line: int
    function: Function
    edits: dict[cst.CSTNode, cst.CSTNode]
    imports: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, order=True)
class Left:
    """A place that is left alone, and why.

    Attributes:
        about: The qualified name of the function that is left as a whole, ``*`` for a whole file, empty for the line.
        rule: The rule of whose findings the reason speaks, empty for all of them.
    """

    path: str
    line: int
    reason: str
    about: str = field(default="", compare=False)
    rule: str = field(default="", compare=False)


@dataclass(frozen=True)
class Outcome:
    """What a run comes to.

    Attributes:
        contents: The new bytes of each file that changes.
        changes: How many places changed.
        left: What is left alone.
    """

    contents: dict[str, bytes]
    changes: int
    left: tuple[Left, ...]
