"""Which calls stand inside a scope of this package, which alone ends the transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .entering import loops_over
from .facts import Call, Const, Expression, Statement, With
from .origins import last_name
from .surroundings import CONTEXT_PUSHES
from .symbols import Function
from .values import External, Result
from .walk import calls_of, children, expressions_of

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["Scopes"]

_DEEPEST = 3
_BLOCKS = CONTEXT_PUSHES | {"attempts", "session_manager"}
_NO_SCOPE = frozenset({"supports", "not_supported", "never"})


class Scopes:
    """Finds the scopes around calls, each function once."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self._around: dict[str, dict[int, Call | None]] = {}

    def around(self, function: Function) -> dict[int, Call | None]:
        """Return, by the identity of calls, what opened the scope around them; None is a fresh app context."""
        if function.id not in self._around:
            found = self._around[function.id] = {}
            if any(last_name(each.func) in _BLOCKS for each in function.calls):
                self._walk(function.facts.body, (), function, found)
        return self._around[function.id]

    def _walk(
        self,
        body: Iterable[Statement],
        opened: tuple[Call | None, ...],
        scope: Function,
        found: dict[int, Call | None],
    ) -> None:
        for statement in body:
            inner = opened
            for expression in expressions_of(statement):
                for call in calls_of(expression) if inner else ():
                    found[id(call)] = inner[-1]
                if isinstance(statement, With):
                    inner = (*inner, *self._opened(expression, scope))
            for block in children(statement):
                self._walk(block, inner, scope, found)

    def _opened(self, expression: Expression, scope: Function) -> tuple[Call | None, ...]:
        if isinstance(expression, str):
            made = loops_over(expression, scope)
            return () if made is None or not self._opens(made, "attempts", scope) else (made,)
        call = expression if isinstance(expression, Call) else None
        if call is not None and last_name(call.func) in CONTEXT_PUSHES:
            return (None,)
        return (call,) if call and self._opens(call, "session_manager", scope) else ()

    def _opens(self, call: Expression, name: str, scope: Function) -> bool:
        """Whether *call* is that of the function *name* of this package, and opens a scope."""
        func = call.func if isinstance(call, Call) else call
        if last_name(func) != name:
            return False
        value = self.analysis.evaluator.value(func, scope)
        ours = isinstance(value, External | Result) and value.path.startswith("flask_safesession.")
        return ours and not (isinstance(call, Call) and _waives(call))

    def decorated(self, function: Function) -> bool:
        """Whether ``@transactional`` opens a scope around the whole function."""
        outer = function.outer or function.module.body
        return any(self._opens(each, "transactional", outer) for each in function.facts.decorators)

    def opener(self, function: Function) -> tuple[Function, Call] | None:
        """Return a function that calls *function* inside a scope, up to three calls away, and its call."""
        return self._opener(function, 0, set())

    def _opener(
        self, function: Function, depth: int, seen: set[str]
    ) -> tuple[Function, Call] | None:
        if depth >= _DEEPEST or function.id in seen or function.binding_names & CONTEXT_PUSHES:
            return None
        seen.add(function.id)
        for caller, call in self.analysis.callers.get(function.id, ()):
            around = self.around(caller)
            if id(call) in around and around[id(call)] is None:
                continue
            if id(call) in around or self.decorated(caller):
                return caller, call
            found = self._opener(caller, depth + 1, seen)
            if found is not None:
                return found
        return None


def _waives(call: Call) -> bool:
    """Whether its propagation may leave the block without a scope, or cannot be read."""
    return any(
        name == "propagation" and not (isinstance(value, Const) and value.value not in _NO_SCOPE)
        for name, value in call.keywords
    )
