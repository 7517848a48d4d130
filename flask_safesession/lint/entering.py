"""What a ``with`` block gives to its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import guesses
from .facts import Await, Call, Expression
from .origins import as_session, last_name, line_of, made, place_key, scoped, yields
from .symbols import Function
from .values import External, Factory, FunctionValue, Instance, Result, Session, Value

if TYPE_CHECKING:
    from .evaluate import Evaluator

__all__ = ["Entering", "loops_over"]


class Entering:
    """Evaluates context managers.

    Args:
        evaluator: Evaluates what is not its own.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def entered(self, expression: Expression, scope: Function) -> Value:
        """Return what ``with expression as name`` gives."""
        if isinstance(expression, Await):
            expression = expression.value
        if isinstance(expression, Call):
            found = self._begun(expression, scope) or self._called(expression, scope)
            if found is not None:
                return found
        if isinstance(expression, str):
            found = self._attempted(expression, scope)
            if found is not None:
                return found
        value = self.evaluator.value(expression, scope)
        if isinstance(value, Instance):
            return self._enter_method(value, expression, scope)
        return value

    def _begun(self, call: Call, scope: Function) -> Value:
        """Return what ``factory.begin()`` and ``session.begin()`` give."""
        name = last_name(call.func)
        if name not in {"begin", "begin_nested"}:
            return None
        owner = self.evaluator.owner_of(call.func, scope)
        if isinstance(owner, Factory):
            return made(call, scope, owner.text, is_async=owner.is_async)
        if isinstance(owner, External):
            return guesses.external_result(owner.path, call.at, scope)
        return Result("transaction") if isinstance(owner, Session) else None

    def _called(self, call: Call, scope: Function) -> Value:
        """Return what a context manager that is written as a function gives."""
        function = self.evaluator.value(call.func, scope)
        if isinstance(function, FunctionValue):
            return self._scope_value(function.function, call, scope)
        path = function.path if isinstance(function, External | Result) else ""
        ours = path.startswith("flask_safesession.")
        if (isinstance(function, External) or ours) and guesses.is_getter(path):
            return scoped(call, scope, path)
        return None

    def _attempted(self, name: str, scope: Function) -> Value:
        """Return what each attempt of ``for attempt in attempts():`` gives."""
        call = loops_over(name, scope)
        value = None if call is None else self.evaluator.value(call.func, scope)
        ours = isinstance(value, External) and value.path == "flask_safesession.attempts"
        return scoped(call, scope, "attempts") if call is not None and ours else None

    def _scope_value(self, function: Function, call: Call, scope: Function) -> Value:
        if function.facts.is_generator:
            return self.yielded(function, call, scope)
        return None

    def _enter_method(self, value: Instance, expression: Expression, scope: Function) -> Value:
        for name in ("__enter__", "__aenter__"):
            method = self.evaluator.project.method(value.cls, name)
            if method is not None:
                inner = self.evaluator.returned(method)
                if isinstance(inner, Session):
                    return Session(
                        place_key(expression, scope),
                        "scope",
                        value.cls.name + "()",
                        scope.path,
                        line_of(expression),
                        inner.is_async,
                    )
                return value if inner is None else inner
        return value

    def yielded(self, function: Function, call: Call, scope: Function) -> Value:
        """Return what a generator gives, as the caller's own."""
        for each in yields(function.facts.body):
            value = self.evaluator.value(each.value, function)
            session = as_session(value)
            if session is not None:
                if session.origin in {"managed", "registry", "global"}:
                    return session
                return scoped(call, scope, function.name, is_async=session.is_async)
            if value is not None:
                return value
        return None


def loops_over(name: str, scope: Function) -> Call | None:
    """Return the call over whose result the loop goes that alone binds *name*, as in ``for name in attempts():``."""
    found = scope.bindings.get(name, ())
    value = found[0].value if len(found) == 1 and found[0].kind == "each" else None
    return value if isinstance(value, Call) else None
