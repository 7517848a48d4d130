"""Whether anybody outside notices a call, as far as it can be seen."""

from __future__ import annotations

from dataclasses import dataclass

from ..analysis import Analysis
from ..facts import Call
from ..origins import last_name
from ..symbols import Function
from ..values import External, Query, Result, Rows
from .quiet import PURE_MODULES, is_quiet

__all__ = ["Silence"]

_DEEPEST = 3


@dataclass
class Silence:
    """Knows which calls may come before or after a commit all the same.

    Attributes:
        analysis: What the checker knows.
    """

    analysis: Analysis

    def call(self, call: Call, scope: Function, depth: int = _DEEPEST) -> bool:
        """Whether *call* tells nobody anything, nor waits."""
        action = self.analysis.effects.action(call, scope)
        quiet = is_quiet(last_name(call.func), plain=isinstance(call.func, str))
        if action.callees:
            return all(
                (quiet and self._is_short(each)) or self._function(each, depth - 1)
                for each in action.callees
            )
        return quiet or action.session is not None or self._is_pure(call, scope)

    def _function(self, function: Function, depth: int) -> bool:
        return depth > 0 and all(self.call(each, function, depth) for each in function.calls)

    def _is_short(self, function: Function) -> bool:
        summary = self.analysis.effects.summary(function)
        return summary.slow is None and summary.enqueues is None

    def _is_pure(self, call: Call, scope: Function) -> bool:
        evaluator = self.analysis.evaluator
        value = evaluator.value(call.func, scope)
        if isinstance(value, External | Result):
            return value.path.partition(".")[0] in PURE_MODULES
        return isinstance(evaluator.value(call, scope), Query | Rows)
