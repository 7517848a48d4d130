"""Where a session is made, and where it is used outside of its block."""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst

from .files import NotSure

__all__ = ["first_maker", "refuse_leftovers"]


def first_maker(body: cst.BaseSuite, made: Callable[[cst.CSTNode], object]) -> cst.CSTNode | None:
    """Return the first statement of *body* that makes a session, as *made* tells."""
    visitor = _Makers(made)
    body.visit(visitor)
    return visitor.first


def refuse_leftovers(function: cst.FunctionDef, names: set[str], covered: set[cst.CSTNode]) -> None:
    """Make sure that no session of *names* is used outside of the statements in *covered*.

    Raises:
        NotSure: If one is.
    """
    function.visit(_Leftovers(names, covered))


class _Makers(cst.CSTVisitor):
    """Finds the first statement of a function that makes a session."""

    def __init__(self, made: Callable[[cst.CSTNode], object]) -> None:
        self.made = made
        self.first: cst.CSTNode | None = None

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> None:
        if self.first is None and self.made(node) is not None:
            self.first = node


class _Leftovers(cst.CSTVisitor):
    """Refuses a session that is used outside of the block that it got."""

    def __init__(self, names: set[str], covered: set[cst.CSTNode]) -> None:
        self.names = names
        self.covered = covered

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node not in self.covered and super().on_visit(node)

    def visit_Name(self, node: cst.Name) -> None:
        if node.value in self.names:
            raise NotSure(
                node, f"'{node.value}' is used outside of the block that opens and closes it"
            )

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False
