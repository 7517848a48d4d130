"""What a call gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guesses
from .facts import Call
from .origins import (
    as_session,
    from_registry,
    is_async_factory,
    last_name,
    made,
    managed,
    moved,
    place_key,
    query_result,
)
from .symbols import Class, Function
from .values import (
    ClassValue,
    Database,
    External,
    Factory,
    FunctionValue,
    Instance,
    Query,
    Registry,
    Result,
    Rows,
    Session,
    Value,
)
from .vocabulary import (
    ASYNC_SESSION_CLASSES,
    DATABASE_READS,
    DATABASES,
    FACTORIES,
    OBJECT_SESSIONS,
    READS,
    REGISTRIES,
    SESSION_CLASSES,
)
from .walk import calls_of

if TYPE_CHECKING:
    from .evaluate import Evaluator

__all__ = ["Results"]


class Results:
    """Evaluates calls, each once.

    Args:
        evaluator: Evaluates what is not its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._calls: dict[int, Value] = {}

    def called(self, call: Call, scope: Function) -> Value:
        """Return what a call gives."""
        key = id(call)
        if key not in self._calls:
            self._calls[key] = None  # a call inside its own value
            self._calls[key] = self._called(call, scope)
        return self._calls[key]

    def _called(self, call: Call, scope: Function) -> Value:
        special = self._method_result(call, scope)
        if special is not None:
            return special
        function = self.evaluator.value(call.func, scope)
        if isinstance(function, External):
            return self._external_result(function.path, call, scope)
        if isinstance(function, Factory):
            return made(call, scope, f"{function.text}()", is_async=function.is_async)
        if isinstance(function, Registry):
            return from_registry(function, call, scope)
        if isinstance(function, ClassValue):
            return self._constructed(function.cls, call, scope)
        if isinstance(function, FunctionValue):
            return self._function_result(function.function, call, scope)
        if isinstance(function, Session | Query | Rows):
            return function
        if isinstance(function, Result):
            return function
        return None

    def _method_result(self, call: Call, scope: Function) -> Value:
        name = last_name(call.func)
        if name == "next" and call.args and isinstance(call.func, str):
            value = self.evaluator.iterated(call.args[0], scope)
            if isinstance(value, Session) and value.origin == "scope":
                return made(call, scope, "next()", is_async=value.is_async)  # its generator is gone
            return value
        if name == "_get_current_object":
            return Result("current object")
        owner = self.evaluator.owner_of(call.func, scope)
        if isinstance(owner, Session | Registry):
            session = as_session(owner)
            if name in READS:
                return self._read_result(name, session, call, scope)
            if name in {"begin", "begin_nested"}:
                return None
        if isinstance(owner, Query | Rows):
            return query_result(name, owner)
        if isinstance(owner, Database) and name in DATABASE_READS:
            kind = "scalars" if name == "paginate" else "get"
            return self._read_result(kind, managed(), call, scope)
        return None

    def _read_result(
        self, name: str, session: Session | None, call: Call, scope: Function
    ) -> Value:
        model = self._model_in(call, scope)
        if name == "query":
            return Query(session, model)
        if name in {"get", "get_one"}:
            return Instance(model) if model is not None else None
        return Rows(session, model if name != "scalar" else None)

    def _model_in(self, call: Call, scope: Function) -> Class | None:
        for argument in call.args[:1]:
            value = self.evaluator.value(argument, scope)
            if isinstance(value, ClassValue) and self.evaluator.models.is_model(value.cls):
                return value.cls
            for inner in calls_of(argument):
                if last_name(inner.func) == "select" and inner.args:
                    value = self.evaluator.value(inner.args[0], scope)
                    if isinstance(value, ClassValue) and self.evaluator.models.is_model(value.cls):
                        return value.cls
        return None

    def _external_result(self, path: str, call: Call, scope: Function) -> Value:
        if path in SESSION_CLASSES or path in ASYNC_SESSION_CLASSES:
            return made(
                call, scope, f"{path.rpartition('.')[2]}()", is_async=path in ASYNC_SESSION_CLASSES
            )
        if path in FACTORIES:
            return Factory(path.rpartition(".")[2], is_async=is_async_factory(path, call))
        if path in REGISTRIES:
            text = f"{path.rpartition('.')[2]}()"
            return Registry(place_key(call, scope), text, local=scope is not scope.module.body)
        if path in DATABASES:
            return Database(path.rpartition(".")[2])
        if path in OBJECT_SESSIONS:
            return Session(
                f"object|{scope.id}",
                "given",
                f"{path.rpartition('.')[2]}()",
                scope.path,
                call.at.line,
            )
        return guesses.external_result(path, call.at, scope) or Result(path)

    def _constructed(self, cls: Class, call: Call, scope: Function) -> Value:
        if self.evaluator.models.derives(cls, SESSION_CLASSES):
            return made(call, scope, f"{cls.name}()", is_async=False)
        if self.evaluator.models.derives(cls, ASYNC_SESSION_CLASSES):
            return made(call, scope, f"{cls.name}()", is_async=True)
        if self.evaluator.models.derives(cls, DATABASES):
            return Database(cls.name)
        return Instance(cls, call, scope)

    def _function_result(self, function: Function, call: Call, scope: Function) -> Value:
        if function.facts.is_generator:
            return None
        value = self.evaluator.returned(function)
        return moved(value, call, scope)
