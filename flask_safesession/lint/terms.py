"""From the expressions of a syntax tree to those of :mod:`.facts`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from .facts import Attr, Await, Call, Const, Expression, FunctionFacts, Group, Place, Yield

__all__ = ["Terms"]

_LONGEST = 60


class Terms:
    """Reads the expressions of one body.

    Args:
        anonymous: Makes the facts of a lambda.
    """

    def __init__(self, anonymous: Callable[[ast.Lambda], FunctionFacts]) -> None:
        self.anonymous = anonymous
        self.yields = False

    def read(self, node: ast.expr | None) -> Expression:
        """Return what is worth keeping of *node*, None where that is nothing."""
        if node is None:
            return None
        reader = _READERS.get(type(node))
        return self._other(node) if reader is None else reader(self, node)

    def annotation(self, node: ast.expr | None) -> Expression:
        """Return an annotation; one that is written as a string is read as well."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return _quoted(self, node.value)
        if isinstance(node, ast.BinOp):
            return Group("either", (self.annotation(node.left), self.annotation(node.right)))
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return Group(
                "item", (self.read(node.value), *(self.annotation(each) for each in inner))
            )
        return self.read(node)

    def _name(self, node: ast.Name) -> Expression:
        return node.id

    def _attribute(self, node: ast.Attribute) -> Expression:
        value = node.value
        if type(value) is ast.Name:
            return f"{value.id}.{node.attr}"
        inner = self.read(value)
        return f"{inner}.{node.attr}" if isinstance(inner, str) else Attr(inner, node.attr)

    def _call(self, node: ast.Call) -> Expression:
        read = self.read
        func = read(node.func)
        args = tuple([read(each) for each in node.args])
        keywords = tuple([(each.arg, read(each.value)) for each in node.keywords])
        at = Place(
            node.lineno,
            node.col_offset,
            node.end_lineno or node.lineno,
            node.end_col_offset or node.col_offset,
        )
        return Call(func, args, keywords, at)

    def _constant(self, node: ast.Constant) -> Expression:
        value = node.value
        if isinstance(value, str):
            return Const(value[:_LONGEST])
        return Const(value) if value is None or isinstance(value, int) else None

    def _await(self, node: ast.Await) -> Expression:
        return Await(self.read(node.value))

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> Expression:
        self.yields = True
        at = Place(node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
        return Yield(self.read(node.value), at)

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set) -> Expression:
        return Group("tuple", tuple([self.read(each) for each in node.elts]))

    def _dict(self, node: ast.Dict) -> Expression:
        values = tuple([self.read(each) for each in node.values])
        return Group("dict", values) if any(each is not None for each in values) else None

    def _either(self, node: ast.BoolOp) -> Expression:
        kind = "either" if isinstance(node.op, ast.Or) else "both"
        return Group(kind, tuple([self.read(each) for each in node.values]))

    def _conditional(self, node: ast.IfExp) -> Expression:
        test = self.read(node.test)
        chosen = Group("either", (self.read(node.body), self.read(node.orelse)))
        return Group("chosen", (test, chosen))

    def _item(self, node: ast.Subscript) -> Expression:
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return Group("item", (self.read(node.value), *[self.read(each) for each in inner]))

    def _binary(self, node: ast.BinOp) -> Expression:
        if isinstance(node.op, ast.Mod) and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            return Group("mod", (self.read(node.left), self.read(node.right)))
        return _group("other", [self.read(node.left), self.read(node.right)])

    def _unary(self, node: ast.UnaryOp) -> Expression:
        kind = "not" if isinstance(node.op, ast.Not) else "other"
        return Group(kind, (self.read(node.operand),))

    def _compare(self, node: ast.Compare) -> Expression:
        return Group(
            "compare", (self.read(node.left), *[self.read(each) for each in node.comparators])
        )

    def _comprehension(self, node: Any) -> Expression:
        element = self.read(node.value if isinstance(node, ast.DictComp) else node.elt)
        rest = [self.read(each.iter) for each in node.generators]
        tests = [self.read(test) for each in node.generators for test in each.ifs]
        targets = [self.read(each.target) for each in node.generators]
        loops = [Group("in", pair) for pair in zip(targets, rest, strict=True)]
        return Group("comp", (element, *loops, *tests))

    def _lambda(self, node: ast.Lambda) -> Expression:
        return self.anonymous(node)

    def _starred(self, node: ast.Starred) -> Expression:
        return Group("star", (self.read(node.value),))

    def _walrus(self, node: ast.NamedExpr) -> Expression:
        return Group("walrus", (self.read(node.target), self.read(node.value)))

    def _nothing(self, node: ast.expr) -> Expression:
        """Read nothing: no call that matters hides in it."""

    def _formatted(self, node: ast.JoinedStr) -> Expression:
        """Keep how an f-string begins, for it may be a statement in SQL."""
        read = self._other(node)
        first = node.values[0] if node.values else None
        if not isinstance(first, ast.Constant) or not str(first.value).strip():
            return read
        return Group("formatted", (Const(str(first.value)[:_LONGEST]), read))

    def _other(self, node: ast.expr) -> Expression:
        inner = [
            self.read(each.value if isinstance(each, ast.FormattedValue) else each)
            for each in ast.iter_child_nodes(node)
            if isinstance(each, ast.expr)
        ]
        return _group("other", inner)


def _group(kind: str, items: list[Expression]) -> Expression:
    kept = tuple([each for each in items if each is not None and not isinstance(each, str | Const)])
    return Group(kind, kept) if kept else None


def _quoted(terms: Terms, text: str) -> Expression:
    try:
        return terms.annotation(ast.parse(text, mode="eval").body) if len(text) < _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_READERS: dict[type[ast.expr], Callable[[Terms, Any], Expression]] = {
    ast.Name: Terms._name,  # noqa: SLF001 - a table of this module's own methods
    ast.Attribute: Terms._attribute,  # noqa: SLF001
    ast.Call: Terms._call,  # noqa: SLF001
    ast.Constant: Terms._constant,  # noqa: SLF001
    ast.Await: Terms._await,  # noqa: SLF001
    ast.Yield: Terms._yield,  # noqa: SLF001
    ast.YieldFrom: Terms._yield,  # noqa: SLF001
    ast.JoinedStr: Terms._formatted,  # noqa: SLF001
    ast.Tuple: Terms._sequence,  # noqa: SLF001
    ast.List: Terms._sequence,  # noqa: SLF001
    ast.Set: Terms._sequence,  # noqa: SLF001
    ast.Dict: Terms._dict,  # noqa: SLF001
    ast.BoolOp: Terms._either,  # noqa: SLF001
    ast.IfExp: Terms._conditional,  # noqa: SLF001
    ast.Subscript: Terms._item,  # noqa: SLF001
    ast.BinOp: Terms._binary,  # noqa: SLF001
    ast.UnaryOp: Terms._unary,  # noqa: SLF001
    ast.Compare: Terms._compare,  # noqa: SLF001
    ast.ListComp: Terms._comprehension,  # noqa: SLF001
    ast.SetComp: Terms._comprehension,  # noqa: SLF001
    ast.GeneratorExp: Terms._comprehension,  # noqa: SLF001
    ast.DictComp: Terms._comprehension,  # noqa: SLF001
    ast.Lambda: Terms._lambda,  # noqa: SLF001
    ast.Starred: Terms._starred,  # noqa: SLF001
    ast.NamedExpr: Terms._walrus,  # noqa: SLF001
}
