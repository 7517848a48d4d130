"""What an attribute of something is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guesses
from .origins import argument_for, database_attribute, global_session, held
from .symbols import Class, Function
from .values import (
    ClassValue,
    Database,
    External,
    FunctionValue,
    Instance,
    ModuleValue,
    Query,
    Result,
    Rows,
    Session,
    Value,
)

if TYPE_CHECKING:
    from .evaluate import Evaluator

__all__ = ["Attributes"]


class Attributes:
    """Evaluates attributes of modules, classes and objects.

    Args:
        evaluator: Evaluates what is not its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def attribute(self, owner: Value, name: str, scope: Function, dotted: str = "") -> Value:
        """Return the attribute *name* of *owner*."""
        if owner is None:
            known = bool(dotted) and dotted.partition(".")[0] in scope.bindings
            return guesses.managed_session(dotted) if name == "session" and not known else None
        if isinstance(owner, ModuleValue):
            value = self.evaluator.global_(name, owner.module)
            return self.evaluator.project.member(owner.module, name) if value is None else value
        if isinstance(owner, Instance):
            return self.of_instance(owner, name, dotted or name)
        if isinstance(owner, ClassValue):
            return self.of_class(owner.cls, name)
        return _foreign(owner, name, dotted)

    def of_class(self, cls: Class, name: str) -> Value:
        """Return the attribute of a class itself."""
        method = self.evaluator.project.method(cls, name)
        if method is not None:
            return FunctionValue(method, ClassValue(cls))
        if name in {"query", "session"} and self.evaluator.models.is_model(cls):
            managed = Session(
                "managed", "managed", f"{cls.name}.query" if name == "query" else "db.session"
            )
            return Query(managed, cls) if name == "query" else managed
        for each in self.evaluator.project.ancestry(cls):
            if name in each.body_bindings:
                value = self.evaluator.bound(each.body_bindings[name], each.module.body)
                return global_session(value, f"{each.facts.qualname}.{name}", each.module)
        return None

    def own(self, name: str, cls: Class, scope: Function) -> Value:
        """Return ``self.name`` as a method of *cls* sees it."""
        if "classmethod" in scope.binding_names:
            return self.of_class(cls, name)
        return self.of_instance(Instance(cls), name, f"self.{name}")

    def of_instance(self, owner: Instance, name: str, dotted: str) -> Value:
        """Return the attribute of an object of the project."""
        method = self.evaluator.project.method(owner.cls, name)
        if method is not None:
            if method.binding_names & {"property", "cached_property", "hybrid_property"}:
                return held(
                    self.evaluator.returned(method), owner.cls, name
                ) or self._guessed_attribute(owner, name, dotted)
            return FunctionValue(method, owner)
        value = self._assigned_attribute(owner, name)
        if value is not None:
            return value
        value = self.of_class(owner.cls, name)
        return self._guessed_attribute(owner, name, dotted) if value is None else value

    def _guessed_attribute(self, owner: Instance, name: str, dotted: str) -> Value:
        """Return the session that ``self.name`` is by what is called on it."""
        if not guesses.is_session_attribute(name, self._attribute_uses(owner.cls, name)):
            return None
        init = self.evaluator.project.method(owner.cls, "__init__")
        if (
            init is not None and name in init.parameters
        ):  # handed to a base class of another package
            return self._constructor_argument(owner, name) or Session(
                f"self|{owner.cls.id}|{name}",
                "given",
                dotted,
                init.path,
                init.facts.at.line,
                parameter=name,
            )
        return Session(f"self|{owner.cls.id}|{name}", "unknown", dotted)

    def _attribute_uses(self, cls: Class, name: str) -> set[str]:
        found: set[str] = set()
        for each in self.evaluator.project.ancestry(cls):
            found |= each.uses.get(name, set())
        return found

    def _assigned_attribute(self, owner: Instance, name: str) -> Value:
        for each in self.evaluator.project.ancestry(owner.cls):
            values = [
                self.evaluator.binding(binding, method)
                for method, binding in each.attributes.get(name, ())
            ]
            value = self.evaluator.best(values)
            if isinstance(value, Session) and owner.call is not None and value.parameter:
                outside = self._constructor_argument(owner, value.parameter)
                if outside is not None:
                    return outside
            if value is not None:
                return held(value, each, name)
            declared = each.body_bindings.get(name, ())
            for binding in declared:
                if binding.annotation is not None:
                    return held(
                        self.evaluator.types.annotated(binding.annotation, each.module.body),
                        each,
                        name,
                    )
        return None

    def _constructor_argument(self, owner: Instance, parameter: str) -> Session | None:
        init = self.evaluator.project.method(owner.cls, "__init__")
        if init is None or owner.call is None or owner.scope is None:
            return None
        argument = argument_for(owner.call, init, parameter, bound=True)
        return self.evaluator.session(argument, owner.scope)


def _foreign(owner: Value, name: str, dotted: str) -> Value:
    """Return an attribute of something that other packages define."""
    if isinstance(owner, Database):
        return database_attribute(name, owner)
    if isinstance(owner, External):
        if name == "session" and guesses.is_database_name(owner.path):
            return Session("managed", "managed", dotted or "db.session")
        return External(f"{owner.path}.{name}")
    if isinstance(owner, Result):
        return Result(f"{owner.path}.{name}")
    if isinstance(owner, Query | Rows):
        return owner
    return None
