"""Instances that outlive their block: its commit expires them, and a session of their own is closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst

from .bound import bindings, given
from .doing import Work
from .files import NotSure
from .trees import (
    Statement,
    called_on,
    dotted,
    every,
    expression_of,
    leaves_of,
    mentions,
    only,
    statements,
    variables,
)

__all__ = ["Instances"]

_LOADS = frozenset({"get", "get_one", "merge"})
_SENT = frozenset({"exec", "execute", "scalar", "scalars"})
_LAZY = frozenset({"enumerate", "filter", "map", "zip"})
_COPIES = frozenset({"iter", "list", "next", "reversed", "set", "sorted", "tuple"})
_GROWING = frozenset({"append", "extend", "insert", "setdefault"})
_GIVE_ROWS = frozenset(
    {
        "all", "distinct", "fetchall", "fetchone", "filter", "filter_by", "first", "join", "limit", "offset", "one",
        "one_or_none", "options", "order_by", "outerjoin", "pop", "scalar", "scalar_one", "scalar_one_or_none",
        "scalars", "unique", "where", "with_for_update",
    }
)  # fmt: skip


@dataclass
class Instances:
    """What the expressions of one function may hold.

    Attributes:
        work: What is known of the session.
        function: The function.
    """

    work: Work
    function: cst.FunctionDef
    _values: dict[str, list[cst.CSTNode]] = field(default_factory=dict)
    _given: set[str] = field(init=False)
    _busy: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, value in (*bindings(self.function), *_grown(self.function)):
            self._values.setdefault(name, []).append(value)
        self._given = given(self.function, self.work.session)

    @property
    def names(self) -> set[str]:
        """The names that may hold instances."""
        return {each for each in {*self._values, *self._given} if self._named(each)}

    def refuse_returned(self, body: Iterable[Statement], before: Statement | None = None) -> None:
        """Make sure that no instance is returned, unless nothing has read it since the commit that stands *before*.

        Raises:
            NotSure: If one is.
        """
        for statement in every(body):
            small = only(statement)
            value = small.value if isinstance(small, cst.Return) else None
            if value is not None and self.holds(value) and not self._is_expired(value, before):
                raise NotSure(
                    statement, "it returns instances, which the commit of the scope would expire"
                )
            before = statement

    def refuse_kept(self) -> None:
        """Make sure that no instance is put where it is found after the function has returned.

        Raises:
            NotSure: If one is: into a global name, or into an attribute or member of what is no local name.
        """
        visitor = _Kept()
        self.function.body.visit(visitor)
        local = (self._values.keys() - visitor.declared) | self._given
        for target, value in visitor.found:
            root = _root(target)
            is_declared = isinstance(target, cst.Name) and root in visitor.declared
            is_outside = not isinstance(target, cst.Name) and root not in local
            if (is_declared or is_outside) and self.holds(value):
                reason = f"'{root}' keeps an instance, which the commit of the scope would expire"
                raise NotSure(target, reason)

    def _is_expired(self, value: cst.CSTNode, before: Statement | None) -> bool:
        """Whether the code as it is returns expired instances as well."""
        committed = before is not None and called_on(before, self.work.session) == "commit"
        return committed and not mentions(value, self.work.root)

    # --- values

    def holds(self, value: cst.CSTNode) -> bool:
        """Whether *value* may be an instance, or hold some."""
        if isinstance(value, cst.Name):
            return self._named(value.value)
        if isinstance(value, cst.Call):
            return self._called(value)
        if isinstance(value, cst.GeneratorExp | cst.Lambda):
            return self._reads_later(value)
        return any(map(self.holds, _parts(value)))

    def _reads_later(self, value: cst.CSTNode) -> bool:
        """Whether it uses the session or an instance, not now but when somebody asks for its values."""
        return mentions(value, self.work.root) or any(map(self._named, variables(value)))

    def _named(self, name: str) -> bool:
        if name in self._given or name in self._busy:
            return name in self._given
        self._busy.add(name)
        found = any(map(self.holds, self._values.get(name, ())))
        self._busy.discard(name)
        return found

    def _called(self, call: cst.Call) -> bool:
        arguments = [each.value for each in call.args]
        if isinstance(call.func, cst.Attribute):
            owner, method = call.func.value, call.func.attr.value
            if dotted(owner) == self.work.session:
                return method in _LOADS or self._asks(method, arguments)
            if variables(owner) & {self.work.root, *self._values}:
                return method in _GIVE_ROWS and self.holds(owner)
        if dotted(call.func) in _COPIES:
            return any(map(self.holds, map(_consumed, arguments)))
        if dotted(call.func) in _LAZY:
            return any(map(self.holds, arguments))
        return self.work.gives_rows(call)

    def _asks(self, method: str, arguments: Sequence[cst.BaseExpression]) -> bool:
        """Whether a method of the session asks for whole instances."""
        if method == "query":
            return any(map(_is_entity, arguments))
        return method in _SENT and any(map(self._selects, arguments[:1]))

    def _selects(self, statement: cst.CSTNode) -> bool:
        """Whether a statement selects whole instances, or is not seen."""
        while isinstance(statement, cst.Call) and isinstance(statement.func, cst.Attribute):
            if statement.func.attr.value == "select":
                break
            statement = statement.func.value
        if isinstance(statement, cst.Call):
            arguments = [each.value for each in statement.args]
            return dotted(statement.func).endswith("select") and any(map(_is_entity, arguments))
        values = self._values.get(dotted(statement), ())
        return not values or any(map(self._selects, values))


class _Kept(cst.CSTVisitor):
    """Collects what is assigned, and which names are not local."""

    def __init__(self) -> None:
        self.declared: set[str] = set()
        self.found: list[tuple[cst.CSTNode, cst.BaseExpression]] = []

    def visit_NameItem(self, node: cst.NameItem) -> None:
        self.declared.add(node.name.value)

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self.found += [(each, node.value) for each in leaves_of(target.target)]

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self.found.append((node.target, node.value))

    def visit_For(self, node: cst.For) -> None:
        self.found += [(each, node.iter) for each in leaves_of(node.target)]


def _root(target: cst.CSTNode) -> str:
    """Return the name with which a target begins."""
    while isinstance(target, cst.Attribute | cst.Subscript | cst.Call | cst.StarredElement):
        target = target.func if isinstance(target, cst.Call) else target.value
    return dotted(target)


def _grown(function: cst.FunctionDef) -> Iterator[tuple[str, cst.CSTNode]]:
    """Return each name with what a method puts into it: ``items.append(item)``."""
    for statement in every(statements(function.body)):
        call = expression_of(statement)
        if (
            isinstance(call, cst.Call)
            and isinstance(call.func, cst.Attribute)
            and call.func.attr.value in _GROWING
        ):
            owner = dotted(call.func.value)
            yield from ((owner, each.value) for each in call.args)


def _is_entity(value: cst.BaseExpression) -> bool:
    """Whether it is a class or something unknown, rather than a column or a function."""
    if isinstance(value, cst.Attribute):
        return value.attr.value[:1].isupper()
    return isinstance(value, cst.Name)


def _consumed(value: cst.BaseExpression) -> cst.BaseExpression:
    """Return what is left of *value* once all of it was asked for: a generator's element."""
    return value.elt if isinstance(value, cst.GeneratorExp) else value


def _parts(value: cst.CSTNode) -> list[cst.BaseExpression]:
    """Return what *value* may be or hold."""
    if isinstance(value, cst.Tuple | cst.List | cst.Set | cst.Dict):
        return [each.value for each in value.elements]
    if isinstance(value, cst.ListComp | cst.SetComp):
        return [value.elt]
    if isinstance(value, cst.IfExp):
        return [value.body, value.orelse]
    if isinstance(value, cst.BooleanOperation):
        return [value.right] if isinstance(value.operator, cst.And) else [value.left, value.right]
    if isinstance(value, cst.NamedExpr | cst.Subscript | cst.DictComp):
        return [value.value]
    return []
