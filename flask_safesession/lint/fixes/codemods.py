"""The codemods, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import libcst as cst

from ..symbols import Function
from .blocks import Blocks
from .changes import Change, Left
from .files import File, Files, NotSure
from .queues import Queues
from .rewriting import Codemod
from .services import Services
from .sources import Unfit
from .surroundings import Surroundings
from .threads import Threads
from .views import Views, committed

__all__ = ["codemods"]


def codemods(factories: frozenset[str] = frozenset()) -> tuple[Codemod, ...]:
    """Return every codemod.

    Args:
        factories: The session factories that the app was given, by name.
    """

    def blocks(files: Files) -> tuple[list[Change], list[Left]]:
        around = Surroundings(files.analysis, factories)

        def change(file: File, function: Function, node: cst.FunctionDef) -> Change | None:
            return Blocks(files, file, function, around).change(node)

        return _each(files, files.makers(), change, "TXN301")

    def views(files: Files) -> tuple[list[Change], list[Left]]:
        around = Surroundings(files.analysis, factories)
        names = sorted({each.path for each in files.analysis.functions if committed(files, each)})

        def change(file: File, function: Function, node: cst.FunctionDef) -> Change | None:
            return Views(files, file, function, around).change(node)

        return _each(files, names, change, "")

    def services(files: Files) -> tuple[list[Change], list[Left]]:
        return Services(files, Surroundings(files.analysis, factories)).changes()

    def threads(files: Files) -> tuple[list[Change], list[Left]]:
        return Threads(files, Surroundings(files.analysis, factories)).changes()

    def queues(files: Files) -> tuple[list[Change], list[Left]]:
        return Queues(files).changes()

    return blocks, views, services, threads, queues


_Proposal = Callable[[File, Function, cst.FunctionDef], Change | None]


def _each(
    files: Files, names: Iterable[str], change: _Proposal, rule: str
) -> tuple[list[Change], list[Left]]:
    """Return what *change* makes of each function of some files; *rule* finds what it leaves."""
    changes: list[Change] = []
    left: list[Left] = []
    for name in names:
        try:
            file = files.file(name)
        except Unfit as error:
            left.append(Left(name, 1, str(error), "*"))
            continue
        for node, function in file.functions.items():
            try:
                found = change(file, function, node)
            except NotSure as error:
                left.append(_left(file, function, error, rule))
                continue
            if found is not None:
                changes.append(found)
    return changes, left


def _left(file: File, function: Function, error: NotSure, rule: str) -> Left:
    line = 0 if error.node is None else file.line(error.node)
    line = line or function.facts.at[0]
    reason = f"'{function.name}': {error.reason}"
    return Left(file.name, line, reason, function.facts.qualname, rule)
