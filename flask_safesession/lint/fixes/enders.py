"""Functions that end a transaction which they did not begin: whoever calls them cannot own a scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import libcst as cst

from ..analysis import Analysis
from ..effects import Effect
from ..symbols import Function
from ..values import ENDS_WITH_ITS_CONTEXT
from .files import NotSure
from .trees import ENDINGS, dotted

__all__ = ["NOT_THEIRS", "Enders", "enders_below"]

NOT_THEIRS = ENDS_WITH_ITS_CONTEXT | {"given", "global", "held", "unknown"}


def _ends_itself(function: Function, analysis: Analysis) -> bool:
    """Whether a call in *function* ends a transaction that others may have begun."""
    for call in function.calls:
        action = analysis.effects.action(call, function)
        if (
            action.effect & Effect.ENDS
            and action.session is not None
            and action.session.origin in NOT_THEIRS
        ):
            return True
    return False


def enders_below(functions: Iterable[Function], analysis: Analysis) -> list[Function]:
    """Return those of *functions*, and of what they call, that end such a transaction."""
    found: list[Function] = []
    waiting = list(functions)
    seen = {each.id for each in waiting}
    while waiting:
        function = waiting.pop()
        if _ends_itself(function, analysis):
            found.append(function)
        for call in function.calls:
            for callee in analysis.effects.action(call, function).callees:
                if callee.id not in seen:
                    seen.add(callee.id)
                    waiting.append(callee)
    return found


@dataclass(frozen=True)
class Enders:
    """Refuses their calls.

    Attributes:
        analysis: What the checker knows.
        by_name: Such functions of the project, for calls that lead nowhere.
        services: Those that are fine, because their commit becomes a flush at the same time.
    """

    analysis: Analysis
    by_name: Mapping[str, Function] = field(default_factory=dict)
    services: frozenset[str] = frozenset()

    def refuse_name(self, node: cst.Call, name: str) -> None:
        """Make sure that a method of something unknown is none of them."""
        each = self.by_name.get(name)
        if each is not None and isinstance(node.func, cst.Attribute):
            text = dotted(node.func) or name
            reason = f"'{text}()' may be '{each.name}' ({_place(each)}), which ends the transaction"
            raise NotSure(node, reason)

    def refuse_callees(self, node: cst.Call, callees: Iterable[Function]) -> None:
        """Make sure that what ends a transaction below *callees* changes as well."""
        for each in enders_below(callees, self.analysis):
            if each.id not in self.services:
                raise NotSure(node, f"'{each.name}' ({_place(each)}) ends the transaction itself")

    @staticmethod
    def refuse_parameters(node: cst.Call, callees: Iterable[Function]) -> None:
        """Make sure that no parameter is ended which the checker does not take for a session."""
        for each in callees:
            if any(each.uses.get(name, set()) & {*ENDINGS, "begin"} for name in each.parameters):
                raise NotSure(node, f"'{each.name}' ({_place(each)}) ends the transaction itself")


def _place(function: Function) -> str:
    return f"{function.path}:{function.facts.at[0]}"
