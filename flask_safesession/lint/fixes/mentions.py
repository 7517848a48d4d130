"""Where a function may be called without being seen: by another name, or as a value that is handed on."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from functools import cached_property

from ..analysis import Analysis
from ..effects import text_of
from ..facts import Call
from ..origins import last_name
from ..symbols import Function
from ..values import External, FunctionValue, Instance, Result
from ..walk import expressions_of, names_in, statements_in
from .files import NotSure

__all__ = ["Mentions"]

_BUILTINS = frozenset(vars(builtins))


@dataclass
class Mentions:
    """Knows the names that are used as values, and the calls that lead nowhere.

    Attributes:
        analysis: What the checker knows.
    """

    analysis: Analysis

    def refuse_unseen(self, function: Function) -> None:
        """Make sure that every call of *function* is one that the checker sees.

        Raises:
            NotSure: If there may be another.
        """
        values = self._values.get(function.name, ())
        for scope, name, line in (each for each in values if self._is(function, each[1], each[0])):
            place = f"{scope.path}:{line}"
            raise NotSure(
                None, f"'{name}' is handed on at {place}, and whoever calls it is not seen"
            )
        for scope, call in self._unseen.get(function.name, ()):
            place = f"{scope.path}:{call.at.line}"
            raise NotSure(None, f"'{text_of(call.func)}()' ({place}) may call it as well")

    def _is(self, function: Function, name: str, scope: Function) -> bool:
        value = self.analysis.evaluator.named(name, scope)
        return isinstance(value, FunctionValue) and value.function is function

    @cached_property
    def _values(self) -> dict[str, list[tuple[Function, str, int]]]:
        found: dict[str, list[tuple[Function, str, int]]] = {}
        for scope in self.analysis.functions:
            for statement in statements_in(scope.facts.body):
                for expression in expressions_of(statement):
                    for name in names_in(expression, called=False):
                        last = name.rpartition(".")[2]
                        found.setdefault(last, []).append((scope, name, statement.line))
        return found

    @cached_property
    def _unseen(self) -> dict[str, list[tuple[Function, Call]]]:
        found: dict[str, list[tuple[Function, Call]]] = {}
        for scope, call in self.analysis.calls():
            action = self.analysis.effects.action(call, scope)
            if action.callees or action.session is not None or _is_builtin(call):
                continue
            if not self._is_foreign(call, scope):
                found.setdefault(last_name(call.func), []).append((scope, call))
        return found

    def _is_foreign(self, call: Call, scope: Function) -> bool:
        value = self.analysis.evaluator.value(call.func, scope)
        owner = self.analysis.effects.owner(call.func, scope)
        return isinstance(value, External | Result) or isinstance(owner, Instance)


def _is_builtin(call: Call) -> bool:
    return isinstance(call.func, str) and call.func in _BUILTINS
