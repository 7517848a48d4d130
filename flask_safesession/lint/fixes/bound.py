"""Which names of a function get which values, and which of them may hold instances or queries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import libcst as cst

from .quiet import CLASS, PLAIN_CLASS
from .trees import leaves_of, mentions, variables

__all__ = ["Names", "bindings"]

_QUERY = re.compile(r"\.query\b")
_TAKES_INSTANCES = frozenset({"add", "add_all", "delete", "expunge", "merge", "refresh"})
_RESPONSES = frozenset({"jsonify", "make_response", "redirect", "Response"})
_SELECT = re.compile(
    r"\W*(?:sa\.|sqlalchemy\.|db\.|sqlmodel\.)?(?:select|exists|(?:text\(\s*\w?[\"']+\s*(?:select|pragma|show)))\b",
    re.IGNORECASE,
)


def bindings(function: cst.FunctionDef) -> Iterator[tuple[str, cst.CSTNode]]:
    """Return each local name of *function* with each value that it gets, members of unpacked ones included."""
    visitor = _Bindings()
    function.body.visit(visitor)
    for target, value in visitor.found:
        for each in leaves_of(target):
            if isinstance(each, cst.Name):
                yield each.value, value


class _Bindings(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def visit_Assign(self, node: cst.Assign) -> None:
        self.found += [(each.target, node.value) for each in node.targets]

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self.found.append((node.target, node.value))

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        self.found.append((node.target, node.value))

    def visit_For(self, node: cst.For) -> None:
        self.found.append((node.target, node.iter))

    def visit_CompFor(self, node: cst.CompFor) -> None:
        self.found.append((node.target, node.iter))


def given(function: cst.FunctionDef, session: str) -> set[str]:
    """Return the names that are arguments of a method of *session*: ``db.session.add(item)``."""
    visitor = _Given(session)
    function.body.visit(visitor)
    return visitor.found


class _Given(cst.CSTVisitor):
    def __init__(self, session: str) -> None:
        self.session = session
        self.found: set[str] = set()

    def visit_Call(self, node: cst.Call) -> None:
        method = node.func.attr.value if isinstance(node.func, cst.Attribute) else ""
        if method in _TAKES_INSTANCES and mentions(node.func, self.session):
            self.found |= {
                each.value.value for each in node.args if isinstance(each.value, cst.Name)
            }


def _makes(value: cst.CSTNode, is_plain: Callable[[str], bool]) -> bool:
    """Whether *value* makes an object that nobody stores."""
    if not isinstance(value, cst.Call) or not isinstance(value.func, cst.Name):
        return False
    name = value.func.value
    return name in _RESPONSES or bool(PLAIN_CLASS.match(name)) or is_plain(name)


@dataclass
class Names:
    """What the names of one function may hold.

    Attributes:
        session: The variable of the session.
        tree: The file.
        rows: The names that may hold instances.
        plain: The names that hold forms, responses or other objects that nobody stores.
    """

    session: str
    tree: cst.Module
    rows: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    _selects: set[str] = field(default_factory=set)

    def learn(
        self,
        function: cst.FunctionDef,
        is_plain: Callable[[str], bool],
        is_row: Callable[[cst.Call], bool],
    ) -> None:
        """Learn which names may hold instances, and which hold queries that only read.

        Args:
            function: The function.
            is_plain: Whether a name is a class whose objects are no instances.
            is_row: Whether a call is known to give instances, or a query of some.
        """
        pairs = list(bindings(function))
        self.rows |= given(function, self.session)
        self.rows |= {name for name, value in pairs if self._makes_rows(value, is_plain, is_row)}
        uses = [(name, variables(value)) for name, value in pairs]
        for _ in range(4):
            self.rows |= {name for name, used in uses if used & {self.session, *self.rows}}
        named: dict[str, list[cst.CSTNode]] = {}
        for name, value in pairs:
            named.setdefault(name, []).append(value)
        self.plain = {
            name for name, values in named.items() if all(_makes(each, is_plain) for each in values)
        }
        for _ in range(3):
            self._selects |= {
                name for name, values in named.items() if all(map(self.selects, values))
            }

    def _makes_rows(
        self,
        value: cst.CSTNode,
        is_plain: Callable[[str], bool],
        is_row: Callable[[cst.Call], bool],
    ) -> bool:
        if _QUERY.search(self.tree.code_for_node(value)):
            return True
        if not isinstance(value, cst.Call):
            return False
        name = value.func.value if isinstance(value.func, cst.Name) else ""
        return is_row(value) or (bool(CLASS.match(name)) and not _makes(value, is_plain))

    def selects(self, value: cst.CSTNode) -> bool:
        """Whether *value* is a statement that only reads."""
        text = self.tree.code_for_node(value)
        return bool(_SELECT.match(text)) or any(
            re.match(rf"{name}\b[^=]*$", text, re.DOTALL) for name in self._selects
        )
