"""What an expression is: the value behind a name, an attribute or a call, as far as it can be seen."""

from __future__ import annotations

from collections.abc import Iterable

from .attributes import Attributes
from .entering import Entering
from .facts import Attr, Await, Call, Expression, FunctionFacts, Group, Return
from .models import Models
from .origins import as_session, global_session, moved, one, own_instance, scoped
from .parameters import Types
from .project import Project
from .results import Results
from .symbols import Binding, Class, Function, Module
from .values import (
    ClassValue,
    Database,
    External,
    Factory,
    FunctionValue,
    ModuleValue,
    Query,
    Registry,
    Result,
    Rows,
    Session,
    Value,
)
from .walk import statements_in

__all__ = ["Evaluator"]

_DEEPEST = 14
_ATTEMPTS = frozenset({"flask_safesession.attempts", "flask_safesession.SafeSession.attempts"})
_MISSING: list[Binding] = []


class Evaluator:
    """Evaluates names and expressions of a project; each name once.

    Args:
        project: The symbol table.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.models = Models(self)
        self.types = Types(self)
        self.attributes = Attributes(self)
        self.entering = Entering(self)
        self.results = Results(self)
        self._names: dict[tuple[str, str], Value] = {}
        self._busy: set[tuple[str, str]] = set()
        self._depth = 0

    # --- what rules ask

    def called(self, call: Call, scope: Function) -> Value:
        """Return what a call gives."""
        return self.results.called(call, scope)

    def entered(self, expression: Expression, scope: Function) -> Value:
        """Return what ``with expression as name`` gives."""
        return self.entering.entered(expression, scope)

    def is_model(self, cls: Class) -> bool:
        """Whether *cls* is mapped to a table."""
        return self.models.is_model(cls)

    # --- expressions

    def value(self, expression: Expression, scope: Function) -> Value:
        """Return what *expression* is inside *scope*."""
        if expression is None:
            return None
        if isinstance(expression, str):
            return self.named(expression, scope)
        if self._depth > _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._compound(expression, scope)
        finally:
            self._depth -= 1

    def _compound(self, expression: Expression, scope: Function) -> Value:
        if isinstance(expression, Call):
            return self.results.called(expression, scope)
        if isinstance(expression, Attr):
            return self.attributes.attribute(
                self.value(expression.value, scope), expression.name, scope
            )
        if isinstance(expression, Await):
            return self.value(expression.value, scope)
        if isinstance(expression, Group):
            return self._group(expression, scope)
        if isinstance(expression, FunctionFacts):
            function = self.project.function(expression)
            return None if function is None else FunctionValue(function)
        return None

    def _group(self, group: Group, scope: Function) -> Value:
        if group.kind in {"either", "both"}:
            return self.best(self.value(each, scope) for each in group.items)
        if group.kind in {"chosen", "walrus"}:
            return self.value(group.items[1], scope)
        if group.kind == "item":
            inner = self.value(group.items[0], scope)
            return one(inner) if isinstance(inner, Rows) else None
        return None

    @staticmethod
    def best(values: Iterable[Value]) -> Value:
        """Return the most telling of several values that an expression may have."""
        found: Value = None
        for each in values:
            if isinstance(each, Session | Factory | Registry | Database):
                return each
            if found is None:
                found = each
        return found

    def session(self, expression: Expression, scope: Function) -> Session | None:
        """Return the session that *expression* is, if it is one."""
        return as_session(self.value(expression, scope))

    def named(self, dotted: str, scope: Function) -> Value:
        """Return what a name with attributes means inside *scope*."""
        key = (scope.id, dotted)
        if key in self._names:
            return self._names[key]
        if key in self._busy or self._depth > _DEEPEST:
            return None
        self._busy.add(key)
        self._depth += 1
        try:
            value = self._named(dotted, scope)
        finally:
            self._depth -= 1
            self._busy.discard(key)
        self._names[key] = value
        return value

    def _named(self, dotted: str, scope: Function) -> Value:
        head, _, last = dotted.rpartition(".")
        if not head:
            return self._simple(last, scope)
        if head == scope.receiver and scope.cls is not None:
            return self.attributes.own(last, scope.cls, scope)
        local = scope.bindings.get(dotted) if "." in dotted else None
        if local:
            value = self.bound(local, scope)
            if value is not None:
                return value
        return self.attributes.attribute(self.named(head, scope), last, scope, dotted)

    def _simple(self, name: str, scope: Function) -> Value:
        at: Function | None = scope
        while at is not None:
            if at.local(name):
                return self._local(name, at)
            at = at.outer
        return self.global_(name, scope.module)

    def _local(self, name: str, scope: Function) -> Value:
        if scope.outer is None and scope.cls is None and scope is scope.module.body:
            return self.global_(name, scope.module)
        if name in scope.facts.imports:
            return self._imported(scope.facts.imports[name], scope.module)
        inner = scope.nested_by_name.get(name)
        if inner is not None and name not in scope.bindings:
            return FunctionValue(inner)
        value = self.bound(scope.bindings.get(name, _MISSING), scope)
        parameter = scope.parameter(name)
        if parameter is None:
            return value
        if name == scope.receiver and scope.is_method:
            return (
                ClassValue(scope.cls)
                if "classmethod" in scope.binding_names and scope.cls
                else own_instance(scope)
            )
        given = self.types.parameter(parameter, scope)
        if isinstance(value, Session) and value.origin in {"made", "scope"}:
            return value
        return given if value is None or isinstance(given, Session) else value

    def _imported(self, dotted: str, module: Module) -> Value:
        value = self.project.find(dotted, module)
        if value is None:
            head, _, name = dotted.rpartition(".")
            origin = self.project.find(head, module) if head else None
            if isinstance(origin, ModuleValue):
                return self.global_(name, origin.module)
        return value

    def global_(self, name: str, module: Module) -> Value:
        """Return what *name* means at the top of *module*."""
        key = (module.name, name)
        if key in self._names:
            return self._names[key]
        if key in self._busy:
            return None
        self._busy.add(key)
        try:
            value = self._global(name, module)
        finally:
            self._busy.discard(key)
        self._names[key] = value
        return value

    def _global(self, name: str, module: Module) -> Value:
        inner = module.body.nested_by_name.get(name)
        if inner is not None:
            return FunctionValue(inner)
        origin = self.project.variable_module(module, name)
        if origin is None:
            return self.project.member(module, name)
        bound = origin.body.bindings.get(self.original(name, module, origin), _MISSING)
        values = [self.bound([each], origin.body) for each in bound]
        own = self.original(name, module, origin)
        values += [
            self.bound([each], function)
            for function, each in origin.globals_set_inside.get(own, ())
        ]
        value = self.best(values)
        if value is not None:
            return global_session(value, own, origin)
        value = self.project.member(module, name)
        if value is None and name in module.facts.imports:  # 'try: import … except: name = None'
            value = self._imported(module.facts.imports[name], module)
        return value

    @staticmethod
    def original(name: str, module: Module, origin: Module) -> str:
        """Return the name in *origin* of what *module* calls *name*."""
        if module is origin:
            return name
        target = module.facts.imports.get(name, name)
        return target.rpartition(".")[2]

    def bound(self, bindings: list[Binding], scope: Function) -> Value:
        """Return what a name with these bindings is."""
        return self.best(self.binding(each, scope) for each in bindings)

    def binding(self, binding: Binding, scope: Function) -> Value:
        """Return what one binding gives to its name."""
        if binding.annotation is not None:
            value = self.types.annotated(binding.annotation, scope)
            made = self.value(binding.value, scope)
            return made if value is None or isinstance(made, Session) else value
        if binding.kind == "value":
            return self.value(binding.value, scope)
        if binding.kind == "enter":
            return self.entering.entered(binding.value, scope)
        if binding.kind == "each":
            return self.iterated(binding.value, scope)
        return self._unpacked(binding, scope)

    def _unpacked(self, binding: Binding, scope: Function) -> Value:
        """Return the member at an index of the tuple that a function of the project returns."""
        call = binding.value
        if not isinstance(call, Call):
            return None
        function = self.value(call.func, scope)
        if not isinstance(function, FunctionValue):
            return None
        for statement in statements_in(function.function.facts.body):
            value = statement.value if isinstance(statement, Return) else None
            if (
                isinstance(value, Group)
                and value.kind == "tuple"
                and binding.position < len(value.items)
            ):
                return moved(
                    self.value(value.items[binding.position], function.function), call, scope
                )
        return None

    def iterated(self, expression: Expression, scope: Function) -> Value:
        """Return one item of what *expression* goes over."""
        value = self.value(expression, scope)
        if isinstance(value, Rows | Query):
            return one(value)
        if isinstance(expression, Call):
            function = self.value(expression.func, scope)
            if isinstance(function, FunctionValue) and function.function.facts.is_generator:
                return self.entering.yielded(function.function, expression, scope)
            if isinstance(function, External | Result) and function.path in _ATTEMPTS:
                return scoped(expression, scope, "attempts")
        return None

    def owner_of(self, func: Expression, scope: Function) -> Value:
        """Return what a method is called on."""
        if isinstance(func, Attr):
            return self.value(func.value, scope)
        if isinstance(func, str) and "." in func:
            return self.named(func.rpartition(".")[0], scope)
        return None

    def returned(self, function: Function) -> Value:
        """Return what a call of *function* gives, by its ``return`` statements."""
        values = (
            self.value(each.value, function)
            for each in statements_in(function.facts.body)
            if isinstance(each, Return) and each.value is not None
        )
        found = self.best(values)
        if found is None and function.facts.returns is not None:
            return self.types.annotated(function.facts.returns, function)
        return found
