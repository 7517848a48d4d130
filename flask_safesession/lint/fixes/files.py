"""The files of a project as both see them: the checker's facts, and LibCST's tree of the same text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from ..analysis import Analysis
from ..checker import _collector_off as collector_off
from ..checker import _deep_recursion as deep_recursion
from ..checker import _findings as findings_of
from ..extract import extract
from ..facts import Call, ModuleFacts, Place
from ..findings import Finding
from ..options import Options
from ..parsing import Unreadable
from ..parsing import parse as parse_ast
from ..project import Project
from ..symbols import Function
from ..values import Session, Value
from .changes import Left
from .sources import Unfit, parse

__all__ = ["File", "Files", "NotSure", "Reader"]


class NotSure(Exception):  # noqa: N818 - it is a result, which no user sees raised
    """Why something is left alone, and at which node."""

    def __init__(self, node: cst.CSTNode | None, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


class Reader:
    """Reads facts, each content once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._known: dict[tuple[str, bytes], ModuleFacts | Left] = {}
        self._trees: dict[bytes, Tree] = {}

    def facts(self, contents: Mapping[str, bytes]) -> Iterator[ModuleFacts]:
        """Return the facts of the files that have any."""
        for item in contents.items():
            if item not in self._known:
                self._known[item] = _read(*item)
            facts = self._known[item]
            if isinstance(facts, ModuleFacts):
                yield facts

    def unreadable(self, contents: Mapping[str, bytes]) -> Iterator[Left]:
        """Return a line for each file that is no Python which can be read."""
        found = (self._known.get(item) for item in contents.items())
        return (each for each in found if isinstance(each, Left))

    def findings(self, contents: Mapping[str, bytes]) -> list[Finding]:
        """Return what the checker finds at every level."""
        with collector_off(), deep_recursion():
            return findings_of(self.facts(contents), self.options)

    def files(self, contents: Mapping[str, bytes]) -> Files:
        """Return the project that *contents* make."""
        with collector_off(), deep_recursion():
            analysis = Analysis(Project(self.facts(contents), self.options))
            return Files(dict(contents), analysis, self._trees)


def _read(name: str, data: bytes) -> ModuleFacts | Left:
    """Return the facts of a file, also of one that no rule looks at: it may call what is rewritten."""
    try:
        return extract(parse_ast(data), name)
    except Unreadable as error:
        return Left(name, error.line, f"it was not read: {error.reason}", "*")
    except RecursionError:
        return Left(name, 1, "it was not read: its expressions are nested too deeply", "*")


class Tree:
    """What LibCST knows of a text; it takes its time, and a text that nobody changes is read once."""

    def __init__(self, data: bytes) -> None:
        wrapper = MetadataWrapper(parse(data), unsafe_skip_copy=True)
        self.module = wrapper.module
        self.positions = wrapper.resolve(PositionProvider)
        found = _Found()
        self.module.visit(found)
        self.calls, self.functions = found.calls, found.functions


class _Found(cst.CSTVisitor):
    def __init__(self) -> None:
        self.calls: list[cst.Call] = []
        self.functions: list[cst.FunctionDef] = []

    def visit_Call(self, node: cst.Call) -> None:
        self.calls.append(node)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.functions.append(node)


class File:
    """One file: its tree, where each node stands, and what the checker knows of the calls and functions there."""

    def __init__(self, name: str, tree: Tree, functions: Iterable[Function]) -> None:
        self.name = name
        self.tree = tree.module
        self._positions = tree.positions
        self._tree = tree
        self._functions = {(each.facts.at[0], each.name): each for each in functions}
        self._calls = {call.at: (each, call) for each in functions for call in each.calls}

    def line(self, node: cst.CSTNode) -> int:
        """Return the line of *node*."""
        found = self._positions.get(node)  # a statement behind a colon was put on a line of its own
        return 0 if found is None else found.start.line

    def place(self, node: cst.CSTNode) -> Place:
        """Return where *node* is, as the checker counts."""
        found = self._positions[node]
        return Place(found.start.line, found.start.column, found.end.line, found.end.column)

    def call(self, node: cst.Call) -> tuple[Function, Call] | None:
        """Return what the checker knows of a call."""
        return self._calls.get(self.place(node))

    def call_at(self, call: Call) -> cst.Call:
        """Return the node of *call*."""
        return self._call_nodes[call.at]

    @cached_property
    def _call_nodes(self) -> dict[Place, cst.Call]:
        return {self.place(each): each for each in self._tree.calls}

    def function(self, node: cst.FunctionDef) -> Function | None:
        """Return what the checker knows of a function."""
        return self._functions.get((self.line(node.name), node.name.value))

    def node(self, function: Function) -> cst.FunctionDef:
        """Return the definition of *function*.

        Raises:
            NotSure: If the tree has none at its place, as under an ``else`` of the same name.
        """
        found = self._nodes.get(function.id)
        if found is None:
            raise NotSure(None, f"the definition of '{function.name}' is not found again")
        return found

    @cached_property
    def _nodes(self) -> dict[str, cst.FunctionDef]:
        return {function.id: node for node, function in self.functions.items()}

    @cached_property
    def functions(self) -> dict[cst.FunctionDef, Function]:
        """Every function that the checker knows, by its node."""
        found = ((each, self.function(each)) for each in self._tree.functions)
        return {node: function for node, function in found if function is not None}


@dataclass
class Files:
    """A project.

    Attributes:
        contents: The bytes of each file.
        analysis: What the checker knows of them.
        trees: The trees that were needed so far, by their text.
    """

    contents: dict[str, bytes]
    analysis: Analysis
    trees: dict[bytes, Tree]

    def makers(self) -> list[str]:
        """Return the files in which sessions are made: LibCST takes its time, and need not read others."""
        evaluator = self.analysis.evaluator
        return sorted(
            {
                scope.path
                for scope, call in self.analysis.calls()
                if _made_here(evaluator.called(call, scope), call)
            }
        )

    @cached_property
    def _by_path(self) -> dict[str, list[Function]]:
        found: dict[str, list[Function]] = {}
        for each in self.analysis.functions:
            found.setdefault(each.path, []).append(each)
        return found

    @cached_property
    def _files(self) -> dict[str, File | Unfit]:
        return {}

    def file(self, name: str) -> File:
        """Return one file.

        Raises:
            Unfit: If it cannot be rewritten.
        """
        if name not in self._files:
            try:
                tree = self._tree(self.contents[name])
                self._files[name] = File(name, tree, self._by_path.get(name, ()))
            except Unfit as error:
                self._files[name] = error
        found = self._files[name]
        if isinstance(found, Unfit):
            raise found
        return found

    def _tree(self, data: bytes) -> Tree:
        if data not in self.trees:
            self.trees[data] = Tree(data)
        return self.trees[data]


def _made_here(value: Value, call: Call) -> bool:
    return isinstance(value, Session) and value.origin == "made" and value.line == call.at.line
