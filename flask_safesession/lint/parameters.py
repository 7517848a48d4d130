"""What a parameter or a variable is by its annotation and its default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guesses
from .facts import Call, Expression, Group, Parameter
from .origins import as_session, external_type, last_name, yields
from .symbols import Function, Module
from .values import (
    ClassValue,
    External,
    Factory,
    FunctionValue,
    Instance,
    ModuleValue,
    Origin,
    Query,
    Registry,
    Result,
    Rows,
    Session,
    Value,
)
from .vocabulary import ASYNC_SESSION_CLASSES, SESSION_CLASSES

if TYPE_CHECKING:
    from .evaluate import Evaluator

__all__ = ["Types"]


class Types:
    """Evaluates annotations, dependencies and parameters.

    Args:
        evaluator: Evaluates what is not its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def parameter(self, parameter: Parameter, scope: Function) -> Value:
        """Return what a parameter is inside its function."""
        injected = self._injected(parameter.default, scope)
        value = self.annotated(parameter.annotation, scope) if parameter.annotation else None
        if isinstance(value, Session):
            origin: Origin = "injected" if injected or value.origin == "injected" else "given"
            return _brought(parameter, origin, scope, is_async=value.is_async)
        if isinstance(value, Instance | Result | ClassValue | External | Rows | Query):
            return value
        if injected is not None:
            return _brought(parameter, "injected", scope, is_async=injected.is_async)
        if guesses.is_session_parameter(parameter, scope):
            return _brought(
                parameter, "given", scope, is_async=guesses.is_awaited(parameter.name, scope)
            )
        return None

    def _injected(self, default: Expression, scope: Function) -> Session | None:
        """Return the session that ``Depends(f)`` gives."""
        if not isinstance(default, Call) or last_name(default.func) not in {
            "Depends",
            "Security",
            "Provide",
            "FromDishka",
        }:
            return None
        dependency = default.args[0] if default.args else None
        value = self.evaluator.value(dependency, scope)
        if isinstance(value, FunctionValue):
            for each in yields(value.function.facts.body):
                found = as_session(self.evaluator.value(each.value, value.function))
                if found is not None:
                    return found
            return as_session(self.evaluator.returned(value.function))
        if isinstance(value, External) and guesses.is_getter(value.path):
            return Session("", "injected", value.path)
        return None

    def annotated(self, annotation: Expression, scope: Function) -> Value:
        """Return what a value with this annotation is."""
        if isinstance(annotation, Group):
            return self._annotated_group(annotation, scope)
        if not isinstance(annotation, str):
            return None
        alias = self._alias(annotation, scope)
        if alias is not None:
            return alias
        value = self.evaluator.named(annotation, scope)
        if isinstance(value, ClassValue):
            if self.evaluator.models.derives(value.cls, SESSION_CLASSES | ASYNC_SESSION_CLASSES):
                return Session(
                    "",
                    "given",
                    annotation,
                    is_async=self.evaluator.models.derives(value.cls, ASYNC_SESSION_CLASSES),
                )
            return Instance(value.cls)
        if isinstance(value, External):
            return external_type(value.path)
        if isinstance(value, Factory | Registry):
            return Session(
                "", "given", annotation, is_async=isinstance(value, Factory) and value.is_async
            )
        return value if isinstance(value, Session | Rows) else None

    def _annotated_group(self, annotation: Group, scope: Function) -> Value:
        if annotation.kind == "either":
            return self.evaluator.best(self.annotated(each, scope) for each in annotation.items)
        if annotation.kind != "item":
            return None
        outer = annotation.items[0]
        last = outer.rpartition(".")[2] if isinstance(outer, str) else ""
        if last == "Annotated":
            value = self.annotated(annotation.items[1], scope)
            marked = any(isinstance(each, Call) for each in annotation.items[2:])
            if isinstance(value, Session) and marked:
                return Session("", "injected", value.text, is_async=value.is_async)
            return value
        if last in {"Optional", "Union"}:
            return self.evaluator.best(self.annotated(each, scope) for each in annotation.items[1:])
        inner = self.annotated(annotation.items[1], scope) if len(annotation.items) > 1 else None
        if last in {"scoped_session", "async_scoped_session"}:
            return Session("", "given", "scoped_session", is_async=last.startswith("async"))
        if last in {
            "list",
            "List",
            "Sequence",
            "Iterable",
            "set",
            "Iterator",
            "Query",
            "ScalarResult",
        }:
            return (
                Rows(None, inner.cls)
                if isinstance(inner, Instance) and self.evaluator.models.is_model(inner.cls)
                else None
            )
        if last in {"Generator", "AsyncGenerator", "AsyncIterator"}:
            return inner if isinstance(inner, Session) else None
        return None

    def _alias(self, name: str, scope: Function) -> Value:
        """Return the value of ``DbSession = Annotated[Session, Depends(get_db)]``."""
        head, _, last = name.rpartition(".")
        module: Module | None = scope.module
        if head:
            owner = self.evaluator.named(head, scope)
            module = owner.module if isinstance(owner, ModuleValue) else None
        if module is None:
            return None
        imported = scope.facts.imports.get(name)
        if imported is not None:
            source = self.evaluator.project.find(imported.rpartition(".")[0], module)
            module = source.module if isinstance(source, ModuleValue) else module
        origin = self.evaluator.project.variable_module(module, last)
        if origin is None:
            return None
        own = self.evaluator.original(last, module, origin)
        for binding in origin.body.bindings.get(own, ()):
            if isinstance(binding.value, Group):
                return self.annotated(binding.value, origin.body)
            if isinstance(binding.value, str) and binding.value != own:
                return self.annotated(binding.value, origin.body)
        return None


def _brought(parameter: Parameter, origin: Origin, scope: Function, *, is_async: bool) -> Session:
    """Return the session that a parameter brings."""
    name = parameter.name
    line = scope.facts.at.line
    return Session(f"param|{scope.id}|{name}", origin, name, scope.path, line, is_async, name)
