"""The files as a project: modules, classes and functions that know where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from .facts import (
    Assign,
    Call,
    ClassFacts,
    Expression,
    For,
    FunctionFacts,
    Group,
    If,
    ModuleFacts,
    Parameter,
    Place,
    Statement,
    Try,
    While,
    With,
)
from .walk import calls_in, statements_in

__all__ = ["Binding", "Class", "Function", "Module"]


class Binding(NamedTuple):
    """One way in which a name gets its value.

    *kind* is ``value``, ``item`` (of an unpacked tuple, at *position*), ``enter`` (``with … as``) or
    ``each`` (``for``).
    """

    kind: str
    value: Expression
    annotation: Expression
    position: int
    line: int


class Function:
    """A function, method, lambda, or the body of a module."""

    def __init__(
        self, facts: FunctionFacts, module: Module, cls: Class | None, outer: Function | None
    ) -> None:
        self.facts = facts
        self.module = module
        self.cls = cls
        self.outer = outer
        self.name = facts.name
        self.id = f"{module.name}:{facts.qualname}:{facts.at.line}"
        self.parameters = {each.name: each for each in facts.parameters}
        self.nested = [
            Function(each, module, cls if each.owner else None, self) for each in facts.nested
        ]

    @property
    def path(self) -> str:
        """The file it stands in."""
        return self.module.path

    @property
    def is_method(self) -> bool:
        """Whether it is defined in the body of a class."""
        return self.cls is not None and self.outer is None

    @cached_property
    def binding_names(self) -> frozenset[str]:
        """The decorators' last names."""
        return frozenset(_last(each) for each in self.facts.decorators)

    @cached_property
    def receiver(self) -> str:
        """The name of the first parameter of a method, empty elsewhere."""
        scope: Function | None = self
        while scope is not None and not scope.is_method:
            scope = scope.outer
        if scope is None or not scope.facts.parameters or "staticmethod" in scope.binding_names:
            return ""
        return scope.facts.parameters[0].name

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call of its body in the order of evaluation, without those of nested functions."""
        return tuple(calls_in(self.facts.body))

    @cached_property
    def bindings(self) -> dict[str, list[Binding]]:
        """How each local name gets its values."""
        return _all_bindings(self.facts.body)

    @cached_property
    def uses(self) -> dict[str, set[str]]:
        """The methods that are called on each name with attributes."""
        found: dict[str, set[str]] = {}
        for call in self.calls:
            if isinstance(call.func, str):
                owner, _, method = call.func.rpartition(".")
                if owner:
                    found.setdefault(owner, set()).add(method)
        for inner in self.nested:
            for name, methods in inner.uses.items():
                found.setdefault(name, set()).update(methods)
        return found

    def local(self, name: str) -> bool:
        """Whether *name* is bound here, rather than outside."""
        if name in self.facts.outer_names:
            return False
        return (
            name in self.parameters
            or name in self.bindings
            or name in self.facts.imports
            or name in self.nested_by_name
        )

    @cached_property
    def nested_by_name(self) -> dict[str, Function]:
        """The functions that are defined in its body; of several of one name the first."""
        return {each.name: each for each in reversed(self.nested)}

    def everything(self) -> Iterator[Function]:
        """Return this function and all that are nested in it."""
        yield self
        for inner in self.nested:
            yield from inner.everything()

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter called *name*."""
        return self.parameters.get(name)

    @cached_property
    def positional(self) -> tuple[str, ...]:
        """The names that positional arguments go to."""
        return tuple(each.name for each in self.facts.parameters if each.kind == "")


class Class:
    """A class of the project."""

    def __init__(self, facts: ClassFacts, module: Module) -> None:
        self.facts = facts
        self.module = module
        self.name = facts.name
        self.id = f"{module.name}:{facts.qualname}"
        self.methods = {
            name: Function(each, module, self, None) for name, each in facts.methods.items()
        }

    @cached_property
    def attributes(self) -> dict[str, list[tuple[Function, Binding]]]:
        """How each attribute of ``self`` gets its values, ``__init__`` first."""
        found: dict[str, list[tuple[Function, Binding]]] = {}
        for method in sorted(self.methods.values(), key=lambda each: each.name != "__init__"):
            prefix = f"{method.receiver}."
            for name, bindings in method.bindings.items():
                if name.startswith(prefix):
                    attribute = name[len(prefix) :]
                    found.setdefault(attribute, []).extend((method, each) for each in bindings)
        return found

    @cached_property
    def body_bindings(self) -> dict[str, list[Binding]]:
        """How each name of the class's body gets its values."""
        return _all_bindings(self.facts.body)

    @cached_property
    def uses(self) -> dict[str, set[str]]:
        """The methods that are called on each attribute of ``self``."""
        found: dict[str, set[str]] = {}
        for method in self.methods.values():
            prefix = f"{method.receiver}."
            for name, methods in method.uses.items():
                if name.startswith(prefix):
                    found.setdefault(name[len(prefix) :], set()).update(methods)
        return found


class Module:
    """A file of the project."""

    def __init__(self, facts: ModuleFacts) -> None:
        self.facts = facts
        self.path = facts.path
        self.name = facts.name
        body = facts.body or FunctionFacts("<module>", "", _NOWHERE)
        self.body = Function(body, self, None, None)
        self.functions = {each.name: each for each in self.body.nested if each.name != "<lambda>"}
        self.classes = {name: Class(each, self) for name, each in facts.classes.items()}

    def everything(self) -> Iterator[Function]:
        """Return every function of the file, its body first."""
        yield from self.body.everything()
        for cls in {id(each): each for each in self.classes.values()}.values():
            for method in cls.methods.values():
                yield from method.everything()

    @cached_property
    def globals_set_inside(self) -> dict[str, list[tuple[Function, Binding]]]:
        """What functions assign to names that they declare ``global``."""
        found: dict[str, list[tuple[Function, Binding]]] = {}
        for function in self.everything():
            for name in function.facts.outer_names:
                if function.outer is None or function.outer is self.body:
                    for binding in function.bindings.get(name, ()):
                        found.setdefault(name, []).append((function, binding))
        return found


_NOWHERE = Place(1, 0, 1, 0)


def _last(expression: Expression) -> str:
    while isinstance(expression, Call):
        expression = expression.func
    if isinstance(expression, str):
        return expression.rpartition(".")[2]
    return getattr(expression, "name", "")


def _all_bindings(body: Iterable[Statement]) -> dict[str, list[Binding]]:
    found: dict[str, list[Binding]] = {}
    for statement in statements_in(body):
        for target, binding in _bindings(statement):
            _bind(found, target, binding)
    return found


def _bindings(statement: Statement) -> Iterator[tuple[Expression, Binding]]:
    if isinstance(statement, Assign):
        for target in statement.targets:
            yield (
                target,
                Binding("value", statement.value, statement.annotation, -1, statement.line),
            )
    elif isinstance(statement, For):
        yield statement.target, Binding("each", statement.iterable, None, -1, statement.line)
    elif isinstance(statement, With):
        for value, target in statement.items:
            yield target, Binding("enter", value, None, -1, statement.line)
    elif isinstance(statement, If | While):
        yield from _walrus(statement.test, statement.line)
    elif isinstance(statement, Try):
        return


def _walrus(test: Expression, line: int) -> Iterator[tuple[Expression, Binding]]:
    if isinstance(test, Group):
        if test.kind == "walrus":
            yield test.items[0], Binding("value", test.items[1], None, -1, line)
        for item in test.items:
            yield from _walrus(item, line)


def _bind(found: dict[str, list[Binding]], target: Expression, binding: Binding) -> None:
    if isinstance(target, str):
        found.setdefault(target, []).append(binding)
    elif isinstance(target, Group) and target.kind == "tuple":
        for index, each in enumerate(target.items):
            inner = binding.value
            if (
                binding.kind == "value"
                and isinstance(inner, Group)
                and inner.kind == "tuple"
                and index < len(inner.items)
            ):
                _bind(found, each, binding._replace(value=inner.items[index]))
            else:
                kind = binding.kind if binding.kind == "each" else "item"
                _bind(found, each, binding._replace(kind=kind, position=index))
