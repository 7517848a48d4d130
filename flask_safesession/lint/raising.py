"""Which calls and bodies never come back: ``abort()``, ``sys.exit()``, and helpers that always raise."""

from __future__ import annotations

from collections.abc import Iterable

from .effects import Effects, text_of
from .facts import Assign, Call, Expression, Handler, Raise, Statement
from .flow import Flow, TooManyPaths
from .origins import last_name
from .surroundings import RAISING_CALLS, RAISING_METHODS
from .symbols import Function
from .values import External, FunctionValue
from .walk import calls_of, statements_in

__all__ = ["Raising", "raises_later"]

_DEEPEST = 3
_REACHED = True
_RAISING_NAMES = frozenset(each for each in RAISING_CALLS)


class Raising:
    """Answers whether a call returns, each function once."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self._known: dict[str, bool] = {}
        self._depth = 0

    def call(self, call: Call, scope: Function) -> bool:
        """Whether *call* never returns."""
        text = text_of(call.func)
        name = text.rpartition(".")[2]
        if text in _RAISING_NAMES:
            return True
        value = self.effects.evaluator.value(call.func, scope)
        if isinstance(value, External):
            return (
                value.path in RAISING_CALLS
                or name == "abort"
                or (value.path.endswith(".exit") and "ctx" not in text)
            )
        if isinstance(value, FunctionValue):
            return self.function(value.function)
        return (value is None and (name in RAISING_METHODS and "." in text)) or text in {
            "ctx.exit",
            "parser.error",
        }

    def function(self, function: Function) -> bool:
        """Whether no call of *function* returns."""
        if function.id not in self._known:
            if self._depth >= _DEEPEST:
                return False
            self._known[function.id] = False
            self._depth += 1
            try:
                self._known[function.id] = self._raises(function)
            finally:
                self._depth -= 1
        return self._known[function.id]

    def _raises(self, function: Function) -> bool:
        facts = function.facts
        if (
            facts.is_generator
            or "abstractmethod" in function.binding_names
            or not self._may(function)
        ):
            return False
        flow = Reach(self, function)
        try:
            end = flow.run(facts.body, _REACHED)
        except TooManyPaths:
            return False
        return end is None and not flow.exits.returns

    def _may(self, function: Function) -> bool:
        raises = any(isinstance(each, Raise) for each in statements_in(function.facts.body))
        if raises:
            return not _is_abstract(function.facts.body)
        return any(
            last_name(each.func) in _LAST_NAMES or isinstance(each.func, str)
            for each in function.calls[-3:]
        )

    def falls_through(self, body: Iterable[Statement], scope: Function) -> bool:
        """Whether some path gets to the end of *body*, or leaves it by ``return``, ``break`` or ``continue``."""
        flow = Reach(self, scope)
        try:
            end = flow.run(body, _REACHED)
        except TooManyPaths:
            return False
        return end is not None or bool(
            flow.exits.returns or flow.exits.breaks or flow.exits.continues
        )


_LAST_NAMES = frozenset(each.rpartition(".")[2] for each in RAISING_CALLS) | RAISING_METHODS


class Reach(Flow[bool]):
    """Which places are reached at all."""

    def __init__(self, raising: Raising, scope: Function) -> None:
        super().__init__()
        self.raising = raising
        self.scope = scope

    def join(self, states: Iterable[bool]) -> bool:
        """Return whether one of the paths is open."""
        return any(states)

    def evaluate(self, expression: Expression, state: bool) -> bool:
        """Return the state unchanged: expressions open no path."""
        return state

    def catch(self, handler: Handler, state: bool) -> bool:
        """Return the state unchanged: handlers are reached where their body is."""
        return state

    def never_returns(self, expression: Expression) -> bool:
        """Whether one of its calls never returns."""
        return any(self.raising.call(each, self.scope) for each in calls_of(expression))


def raises_later(handler: Handler, scope: Function) -> bool:
    """Whether the exception is kept in a variable that is raised further down."""
    kept = {
        target
        for each in statements_in(handler.body)
        if isinstance(each, Assign) and handler.name and each.value == handler.name
        for target in each.targets
    }
    return bool(kept) and any(
        isinstance(each, Raise) and each.value in kept and each.line > handler.at.end_line
        for each in statements_in(scope.facts.body)
    )


def _is_abstract(body: tuple[Statement, ...]) -> bool:
    """Whether a body says only that a subclass has to write it."""
    for each in body:
        if isinstance(each, Raise):
            value = each.value.func if isinstance(each.value, Call) else each.value
            if isinstance(value, str) and value.rpartition(".")[2] == "NotImplementedError":
                return True
    return False
