"""LibCST trees: questions about single nodes, and lists of statements in place of suites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import TypeVar, cast

import libcst as cst

__all__ = [
    "ENDINGS",
    "Statement",
    "assigned_name",
    "called_on",
    "comment_lines",
    "constant_return",
    "dotted",
    "every",
    "expression_of",
    "header_comment",
    "is_exit",
    "leaves_of",
    "lines_of",
    "map_suites",
    "mentions",
    "only",
    "real",
    "said",
    "settled",
    "statements",
    "suite_of",
    "suites",
    "variables",
]

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement
ENDINGS = frozenset({"commit", "rollback", "close"})
Node = TypeVar("Node", bound=cst.CSTNode)


class _Variables(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Name(self, node: cst.Name) -> None:
        self.found.add(node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False


def variables(node: cst.CSTNode) -> set[str]:
    """Return the names in *node*; attributes and keywords are none."""
    visitor = _Variables()
    node.visit(visitor)
    return visitor.found


def mentions(node: cst.CSTNode | Iterable[cst.CSTNode], name: str) -> bool:
    """Whether the variable of *name* stands in *node*."""
    nodes = (node,) if isinstance(node, cst.CSTNode) else node
    return any(name.partition(".")[0] in variables(each) for each in nodes)


def only(statement: cst.CSTNode) -> cst.BaseSmallStatement | None:
    """Return the small statement of a line that has one, else None."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        return statement.body[0]
    return None


def expression_of(statement: cst.CSTNode) -> cst.BaseExpression | None:
    """Return the expression that *statement* consists of."""
    small = only(statement)
    return small.value if isinstance(small, cst.Expr) else None


def called_on(statement: cst.CSTNode, owner: str) -> str:
    """Return ``commit`` for ``owner.commit()``; empty for everything else."""
    call = expression_of(statement)
    if not isinstance(call, cst.Call) or call.args or not isinstance(call.func, cst.Attribute):
        return ""
    return call.func.attr.value if dotted(call.func.value) == owner else ""


def dotted(node: cst.CSTNode) -> str:
    """Return ``db.session`` for that expression; empty for one that is no plain name with attributes."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr.value}" if owner else ""
    return ""


def assigned_name(statement: cst.CSTNode) -> tuple[str, cst.BaseExpression] | None:
    """Return the name and the value of ``name = value`` and ``name: type = value``."""
    small = only(statement)
    if isinstance(small, cst.Assign) and len(small.targets) == 1:
        target: cst.BaseExpression = small.targets[0].target
    elif isinstance(small, cst.AnnAssign):
        target = small.target
    else:
        return None
    if isinstance(target, cst.Name) and small.value is not None:
        return target.value, small.value
    return None


def leaves_of(target: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Return what an assignment to *target* binds: the members of ``a, (b.c, *d)``, else itself."""
    if isinstance(target, cst.Tuple | cst.List):
        for each in target.elements:
            yield from leaves_of(each.value)
    else:
        yield target


def is_exit(statement: cst.CSTNode) -> bool:
    """Whether nothing after *statement* in its list runs."""
    return isinstance(only(statement), cst.Return | cst.Raise | cst.Break | cst.Continue)


def constant_return(statement: cst.CSTNode) -> bool:
    """Whether *statement* leaves with names and literals only, which a later commit does not change."""
    small = only(statement)
    if isinstance(small, cst.Break | cst.Continue):
        return True
    return isinstance(small, cst.Return) and (small.value is None or _is_plain(small.value))


def _is_plain(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Tuple):
        return all(_is_plain(each.value) for each in node.elements)
    return isinstance(node, cst.Name | cst.Integer | cst.SimpleString)


# --- lists of statements


def statements(suite: cst.BaseSuite) -> list[Statement]:
    """Return the statements of a suite; those behind a colon on the same line get lines of their own."""
    if isinstance(suite, cst.IndentedBlock):
        return list(cast("Sequence[Statement]", suite.body))
    inline = cast("cst.SimpleStatementSuite", suite)
    return [cst.SimpleStatementLine([_alone(each)]) for each in inline.body]


def _alone(small: cst.BaseSmallStatement) -> cst.BaseSmallStatement:
    return small.with_changes(semicolon=cst.MaybeSentinel.DEFAULT)


def suite_of(old: cst.BaseSuite, body: Sequence[Statement]) -> cst.BaseSuite:
    """Return *old* with another body, ``pass`` where that is empty."""
    filled = list(body) or [_passing()]
    if isinstance(old, cst.IndentedBlock):
        return old.with_changes(body=filled)
    return cst.IndentedBlock(
        filled, header=cast("cst.SimpleStatementSuite", old).trailing_whitespace
    )


def suites(statement: cst.CSTNode) -> Iterator[cst.BaseSuite]:
    """Return the suites of a compound statement that is no definition."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return
    for child in statement.children:
        if isinstance(child, cst.BaseSuite):
            yield child
        elif isinstance(child, _PARTS):
            yield from suites(child)


def every(body: Iterable[Statement]) -> Iterator[Statement]:
    """Return the statements of *body* and of their suites, without definitions."""
    for statement in body:
        if not isinstance(statement, cst.FunctionDef | cst.ClassDef):
            yield statement
        for suite in suites(statement):
            yield from every(statements(suite))


_PARTS = (cst.If, cst.Else, cst.ExceptHandler, cst.ExceptStarHandler, cst.Finally, cst.MatchCase)
Suite = Callable[[list[Statement]], Sequence[Statement]]


def map_suites(statement: Node, change: Suite) -> Node:
    """Return *statement* with *change* applied to the list of statements of each of its suites."""
    changed = statement
    for name in (each.name for each in fields(statement)):
        child = getattr(statement, name)
        if isinstance(child, cst.BaseSuite):
            inner = statements(child)
            body = list(change(inner))
            new: object = child if body == inner else suite_of(child, body)
        elif isinstance(child, _PARTS):
            new = map_suites(child, change)
        elif isinstance(child, Sequence) and any(isinstance(each, _PARTS) for each in child):
            new = [map_suites(each, change) for each in child]
            new = child if all(one is two for one, two in zip(new, child, strict=True)) else new
        else:
            continue
        if new is not child:
            changed = changed.with_changes(**{name: new})
    return changed


# --- comments


def header_comment(suite: cst.BaseSuite) -> cst.Comment | None:
    """Return the comment behind the colon before *suite*, None where there is none."""
    if isinstance(suite, cst.IndentedBlock):
        return suite.header.comment
    return cast("cst.SimpleStatementSuite", suite).trailing_whitespace.comment


class _Comments(cst.CSTVisitor):
    def __init__(self) -> None:
        self.found: list[cst.Comment] = []

    def visit_Comment(self, node: cst.Comment) -> None:
        self.found.append(node)


def comment_lines(*nodes: cst.CSTNode) -> list[cst.EmptyLine]:
    """Return the comments of what goes away, each on a line of its own."""
    visitor = _Comments()
    for each in nodes:
        each.visit(visitor)
    return [cst.EmptyLine(comment=each) for each in visitor.found]


def lines_of(statement: Statement) -> list[cst.EmptyLine]:
    """Return the blank lines and comments above *statement*."""
    return list(getattr(statement, "leading_lines", ()))


def real(body: Iterable[Statement]) -> list[Statement]:
    """Return *body* without what :func:`said` put there."""
    return [each for each in body if not _is_said(each)]


def said(lines: Iterable[cst.EmptyLine]) -> list[Statement]:
    """Return a place in a list of statements for comments whose statement is gone; :func:`settled` ends it."""
    lines = list(lines)
    return [cst.SimpleStatementLine([], leading_lines=lines)] if lines else []


def settled(function: cst.FunctionDef) -> cst.FunctionDef:
    """Return *function* with its comments above the next statement, or at the end of the block where none comes."""
    body = function.body
    indent = body.indent if isinstance(body, cst.IndentedBlock) else None
    return cast("cst.FunctionDef", function.visit(_Settle(indent)))


def _is_said(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and not statement.body


class _Settle(cst.CSTTransformer):
    """Places the comments, and indents new blocks like the function where that is not like its file."""

    def __init__(self, indent: str | None) -> None:
        super().__init__()
        self.indent = indent

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        body: list[Statement] = []
        waiting: list[cst.EmptyLine] = []
        for each in statements(updated_node):
            if _is_said(each):
                waiting += lines_of(each)
                continue
            lines = [*waiting, *lines_of(each)]
            body.append(each.with_changes(leading_lines=lines) if waiting else each)
            waiting = []
        if not body:
            body, waiting = [_passing(waiting)], []
        indent = self.indent if updated_node.indent is None else updated_node.indent
        footer = [*waiting, *updated_node.footer]
        return updated_node.with_changes(body=body, footer=footer, indent=indent)


def _passing(lines: Sequence[cst.EmptyLine] = ()) -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([cst.Pass()], leading_lines=lines)
