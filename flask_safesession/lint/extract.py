"""From a syntax tree to :class:`ModuleFacts`, in one walk over the statements."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .facts import (
    Assign,
    ClassFacts,
    Def,
    Expression,
    ExpressionStatement,
    For,
    FunctionFacts,
    Handler,
    If,
    Jump,
    ModuleFacts,
    Parameter,
    Place,
    Raise,
    Return,
    Statement,
    Try,
    While,
)
from .suppressing import block
from .terms import Terms

__all__ = ["extract", "module_name"]


def module_name(path: str) -> tuple[str, bool]:
    """Return the dotted name of the file at *path*, and whether it is a package."""
    parts = [part for part in path.rsplit(".", 1)[0].split("/") if part not in {"", ".", ".."}]
    if parts and parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def extract(tree: ast.Module, path: str) -> ModuleFacts:
    """Return the facts of one file.

    Args:
        tree: What was parsed.
        path: The path for the findings, relative to the root of the run.
    """
    name, is_package = module_name(path)
    module = ModuleFacts(path=path, name=name, is_package=is_package)
    _Body(module, "", "").run_module(tree)
    return module


class _Body:
    """Reads the statements of one function, class or module."""

    def __init__(self, module: ModuleFacts, qualname: str, owner: str) -> None:
        self.module = module
        self.qualname = qualname
        self.owner = owner
        self.imports: dict[str, str] = {}
        self.outer_names: set[str] = set()
        self.nested: list[FunctionFacts] = []
        self.terms = Terms(self.anonymous)

    def run_module(self, tree: ast.Module) -> None:
        body = self.statements(tree.body)
        self.module.imports.update(self.imports)
        self.module.body = FunctionFacts("<module>", "", Place(1, 0, 1, 0), body=body)
        self.module.body.nested = tuple(self.nested)

    def statements(self, nodes: Iterable[ast.stmt]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for node in nodes:
            read = _READERS.get(type(node))
            statement = None if read is None else read(self, node)
            if statement is not None:
                found.append(statement)
        return tuple(found)

    # --- definitions

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Def:
        qualname = f"{self.qualname}.{node.name}" if self.qualname else node.name
        inner = _Body(self.module, qualname, self.owner)
        facts = FunctionFacts(node.name, qualname, place(node), owner=self.owner)
        facts.parameters = self.parameters(node.args)
        facts.decorators = tuple(self.terms.read(each) for each in node.decorator_list)
        facts.returns = self.terms.annotation(node.returns)
        facts.is_async = isinstance(node, ast.AsyncFunctionDef)
        inner.fill(facts, node.body)
        self.nested.append(facts)
        if not self.qualname:
            self.module.functions[node.name] = facts
        return Def(facts, node.lineno)

    def anonymous(self, node: ast.Lambda) -> FunctionFacts:
        inner = _Body(self.module, f"{self.qualname}.<lambda>", self.owner)
        facts = FunctionFacts("<lambda>", inner.qualname, place(node), owner=self.owner)
        facts.parameters = self.parameters(node.args)
        inner.fill(facts, [ast.Return(node.body, lineno=node.lineno, col_offset=node.col_offset)])
        self.nested.append(facts)
        return facts

    def fill(self, facts: FunctionFacts, body: Sequence[ast.stmt]) -> None:
        facts.body = self.statements(body)
        facts.imports = self.imports
        facts.outer_names = frozenset(self.outer_names)
        facts.is_generator = self.terms.yields
        facts.nested = tuple(self.nested)

    def parameters(self, node: ast.arguments) -> tuple[Parameter, ...]:
        read = self.terms
        plain = [*node.posonlyargs, *node.args]
        defaults: list[ast.expr | None] = [None] * (len(plain) - len(node.defaults))
        found = [
            Parameter(each.arg, read.annotation(each.annotation), read.read(default), "")
            for each, default in zip(plain, [*defaults, *node.defaults], strict=True)
        ]
        if node.vararg:
            found.append(Parameter(node.vararg.arg, None, None, "*"))
        found += [
            Parameter(each.arg, read.annotation(each.annotation), read.read(default), "keyword")
            for each, default in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        ]
        if node.kwarg:
            found.append(Parameter(node.kwarg.arg, None, None, "**"))
        return tuple(found)

    def class_(self, node: ast.ClassDef) -> None:
        qualname = f"{self.qualname}.{node.name}" if self.qualname else node.name
        inner = _Body(self.module, qualname, qualname)
        body = inner.statements(node.body)
        methods: dict[str, FunctionFacts] = {}
        for each in inner.nested:
            if each.name != "<lambda>":
                methods.setdefault(each.name, each)
        facts = ClassFacts(
            node.name,
            qualname,
            place(node),
            tuple(self.terms.read(each) for each in node.bases),
            tuple(self.terms.read(each) for each in node.decorator_list),
            methods,
            tuple(each for each in body if not isinstance(each, Def)),
        )
        self.module.classes.setdefault(qualname, facts)
        if self.qualname:
            self.module.classes.setdefault(node.name, facts)
        self.imports.update(inner.imports)

    # --- what other files give

    def import_(self, node: ast.Import) -> None:
        for each in node.names:
            if each.asname:
                self.imports[each.asname] = each.name
            else:
                self.imports.setdefault(each.name.partition(".")[0], each.name.partition(".")[0])

    def import_from(self, node: ast.ImportFrom) -> None:
        base = self.absolute(node.module or "", node.level)
        for each in node.names:
            if each.name == "*":
                self.module.stars = (*self.module.stars, base)
            else:
                self.imports[each.asname or each.name] = (
                    f"{base}.{each.name}" if base else each.name
                )

    def absolute(self, name: str, level: int) -> str:
        if not level:
            return name
        parts = self.module.name.split(".")
        keep = len(parts) - level + (1 if self.module.is_package else 0)
        return "." + ".".join([*parts[: max(keep, 0)], *([name] if name else [])])

    # --- plain statements

    def expression(self, node: ast.Expr) -> Statement | None:
        value = self.terms.read(node.value)
        return (
            None
            if value is None or isinstance(value, str)
            else ExpressionStatement(value, node.lineno)
        )

    def assign(self, node: ast.Assign) -> Statement:
        targets = tuple(self.terms.read(each) for each in node.targets)
        return Assign(targets, self.terms.read(node.value), None, node.lineno)

    def annotated(self, node: ast.AnnAssign) -> Statement:
        value = self.terms.read(node.value)
        target = self.terms.read(node.target)
        return Assign((target,), value, self.terms.annotation(node.annotation), node.lineno)

    def augmented(self, node: ast.AugAssign) -> Statement | None:
        target, value = self.terms.read(node.target), self.terms.read(node.value)
        targets = (target,) if isinstance(node.target, ast.Attribute) else ()
        return Assign(targets, value, None, node.lineno) if targets or value else None

    def delete(self, node: ast.Delete) -> None:
        """Nothing that a rule looks at."""

    def return_(self, node: ast.Return) -> Statement:
        return Return(self.terms.read(node.value), node.lineno)

    def raise_(self, node: ast.Raise) -> Statement:
        return Raise(self.terms.read(node.exc), node.lineno)

    def jump(self, node: ast.Break | ast.Continue) -> Statement:
        return Jump("break" if isinstance(node, ast.Break) else "continue", node.lineno)

    def global_(self, node: ast.Global | ast.Nonlocal) -> None:
        self.outer_names.update(node.names)

    # --- compound statements

    def if_(self, node: ast.If) -> Statement:
        test = self.terms.read(node.test)
        return If(test, self.statements(node.body), self.statements(node.orelse), node.lineno)

    def for_(self, node: ast.For | ast.AsyncFor) -> Statement:
        target, iterable = self.terms.read(node.target), self.terms.read(node.iter)
        body, orelse = self.statements(node.body), self.statements(node.orelse)
        return For(target, iterable, body, orelse, node.lineno)

    def while_(self, node: ast.While) -> Statement:
        test = self.terms.read(node.test)
        forever = isinstance(node.test, ast.Constant) and bool(node.test.value)
        body, orelse = self.statements(node.body), self.statements(node.orelse)
        return While(test, body, orelse, forever, node.lineno)

    def with_(self, node: ast.With | ast.AsyncWith) -> Statement:
        read = self.terms.read
        items = tuple((read(each.context_expr), read(each.optional_vars)) for each in node.items)
        return block(items, self.statements(node.body), node.lineno)

    def try_(self, node: ast.Try) -> Statement:
        body = self.statements(node.body)
        handlers = tuple(
            Handler(self.types(each.type), self.statements(each.body), place(each), each.name or "")
            for each in node.handlers
        )
        orelse, final = self.statements(node.orelse), self.statements(node.finalbody)
        return Try(body, handlers, orelse, final, node.lineno)

    def types(self, node: ast.expr | None) -> tuple[Expression, ...]:
        if node is None:
            return ()
        each = node.elts if isinstance(node, ast.Tuple) else [node]
        return tuple(self.terms.read(item) or "?" for item in each)

    def match(self, node: ast.Match) -> Statement | None:
        subject = self.terms.read(node.subject)
        chain: tuple[Statement, ...] = ()
        for case in reversed(node.cases):
            test = self.terms.read(case.guard) if case.guard else subject
            body = self.statements(case.body)
            wild = (
                isinstance(case.pattern, ast.MatchAs)
                and case.pattern.pattern is None
                and not case.guard
            )
            chain = body if wild else (If(test, body, chain, case.pattern.lineno),)
        return chain[0] if len(chain) == 1 else If(subject, chain, (), node.lineno)


def place(node: ast.expr | ast.stmt | ast.excepthandler) -> Place:
    """Return where *node* is."""
    return Place(
        node.lineno,
        node.col_offset,
        node.end_lineno or node.lineno,
        node.end_col_offset or node.col_offset,
    )


_READERS: dict[type[ast.stmt], Callable[[_Body, Any], Statement | None]] = {
    ast.FunctionDef: _Body.function,
    ast.AsyncFunctionDef: _Body.function,
    ast.ClassDef: _Body.class_,
    ast.Import: _Body.import_,
    ast.ImportFrom: _Body.import_from,
    ast.Expr: _Body.expression,
    ast.Assign: _Body.assign,
    ast.AnnAssign: _Body.annotated,
    ast.AugAssign: _Body.augmented,
    ast.Return: _Body.return_,
    ast.Raise: _Body.raise_,
    ast.Break: _Body.jump,
    ast.Continue: _Body.jump,
    ast.Global: _Body.global_,
    ast.Nonlocal: _Body.global_,
    ast.If: _Body.if_,
    ast.For: _Body.for_,
    ast.AsyncFor: _Body.for_,
    ast.While: _Body.while_,
    ast.With: _Body.with_,
    ast.AsyncWith: _Body.with_,
    ast.Try: _Body.try_,
    ast.Match: _Body.match,
}
_READERS[getattr(ast, "TryStar", ast.Try)] = _Body.try_  # since Python 3.11
