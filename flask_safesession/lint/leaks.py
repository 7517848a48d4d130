"""Follows one session from the call that makes it to every way out of its function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .effects import Effect
from .facts import Await, Call, Const, Expression, Group, If, Statement, Try
from .flow import Flow, TooManyPaths
from .lent import ended_by_callee, gives_session_to_unread
from .origins import last_name
from .symbols import Function
from .values import Registry, Session
from .walk import calls_of, children, expressions_of

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["left_open"]


@dataclass(frozen=True, slots=True)
class _State:
    """Whether the session may be open, and whether a function that was not read may have closed it."""

    open: bool
    lent: bool = False


_OPEN = _State(open=True)
_CLOSED = _State(open=False)
_LENT = _State(open=False, lent=True)
_CLOSING = frozenset({"close"})


class _Open(Flow[_State]):
    """Follows one session from the call that makes it."""

    def __init__(self, session: Session, call: Call, scope: Function, analysis: Analysis) -> None:
        super().__init__()
        self.session = session
        self.call = call
        self.scope = scope
        self.analysis = analysis
        self._known: dict[int, bool] = {}

    def join(self, states: Iterable[_State]) -> _State:
        """Return open if it is open on one of the paths."""
        known = list(states)
        return _State(any(each.open for each in known), any(each.lent for each in known))

    def evaluate(self, expression: Expression, state: _State) -> _State:
        """Return the state after making or closing calls."""
        for call in calls_of(expression):
            if call is self.call:
                state = _OPEN
            elif self._closes(call):
                state = _CLOSED
            elif self._lends(call):
                state = _LENT if state.open else state
            elif state.lent and self._uses(call):
                state = _OPEN
        return state

    def _lends(self, call: Call) -> bool:
        """Whether *call* gives the session to a function that was not read, and which may close it."""
        effects = self.analysis.effects
        return any(map(self._is_it, gives_session_to_unread(call, self.scope, effects)))

    def _uses(self, call: Call) -> bool:
        effects = self.analysis.effects
        return any(each.key == self.session.key for each, _ in effects.on(call, self.scope))

    def _begins(self, call: Call) -> bool:
        """Whether *call* begins the session, which takes a connection only with the first statement."""
        effects = self.analysis.effects.on(call, self.scope)
        return last_name(call.func) == "begin" and any(
            each.key == self.session.key and effect & Effect.BEGIN for each, effect in effects
        )

    def _closes(self, call: Call) -> bool:
        known = self._known.get(id(call))
        if known is None:
            known = self._known[id(call)] = self._really_closes(call)
        return known

    def _really_closes(self, call: Call) -> bool:
        for session, effect in self.analysis.effects.on(call, self.scope):
            if session.key == self.session.key and effect & Effect.CLOSE:
                return True
        if self._is_closed_below(call):
            return True
        name = last_name(call.func)
        if "close" in name or name in {"remove", "cleanup", "dispose"}:
            arguments = [*call.args, *[value for _, value in call.keywords]]
            if any(self._is_it(each) for each in arguments):
                return True
            return name in {"remove", "close_all", "close_all_sessions"} and self._is_registry(call)
        return False

    def _is_closed_below(self, call: Call) -> bool:
        """Whether a function that *call* reaches closes the parameter that the session is given for."""
        given = ended_by_callee(call, self.scope, self.analysis.effects, _CLOSING)
        return any(map(self._is_it, given))

    def _is_it(self, expression: Expression) -> bool:
        found = self.analysis.evaluator.session(expression, self.scope)
        return found is not None and found.key == self.session.key

    def _is_registry(self, call: Call) -> bool:
        return isinstance(self.analysis.effects.owner(call.func, self.scope), Registry)

    def leave(self, item: tuple[Expression, Expression], state: _State, *, failed: bool) -> _State:
        """Return closed after ``with session:`` and ``with closing(session):``.

        ``with session.begin():`` gives the connection back, which later work takes again.
        """
        expression = item[0].value if isinstance(item[0], Await) else item[0]
        if isinstance(expression, Call) and self._begins(expression):
            return _LENT if state.open else state
        inner = [expression, *(expression.args if isinstance(expression, Call) else ())]
        return _CLOSED if any(self._is_it(each) for each in inner) else state

    def choose(
        self, statement: If, chosen: _State | None, otherwise: _State | None
    ) -> _State | None:
        """Trust ``if session: session.close()``: where the test fails there is nothing to close."""
        trusted = not statement.orelse and _is_flag(statement.test)
        if trusted and chosen is not None and otherwise is not None and not chosen.open:
            return chosen
        return self.either(chosen, otherwise)

    def may_raise(self, expression: Expression) -> bool:
        """Take it that closing a session works, and beginning a new one."""
        return not any(
            self._closes(each) or self._lends(each) or self._begins(each)
            for each in calls_of(expression)
        )

    def never_returns(self, expression: Expression) -> bool:
        """Whether a call in it always raises."""
        return any(self.analysis.raising.call(each, self.scope) for each in calls_of(expression))


def _is_flag(test: Expression) -> bool:
    if isinstance(test, Group):
        return test.kind in {"not", "compare", "both", "either"} and all(
            _is_flag(each) or isinstance(each, Const) or each is None for each in test.items
        )
    return isinstance(test, str)


def left_open(
    session: Session, call: Call, scope: Function, analysis: Analysis
) -> tuple[str, int] | None:
    """Return how and where a path leaves the session open, None where none does."""
    flow = _Open(session, call, scope, analysis)
    try:
        end = flow.run(scope.facts.body, _CLOSED)
    except TooManyPaths:
        return None
    for statement, state in flow.exits.returns:
        if state.open:
            return "return", statement.line
    if end is not None and end.open:
        return "end", _last_line(scope)
    if _has_finally(scope.facts.body, flow):
        return None  # what may fail between the call and the ``try`` is the author's decision
    for line, state in flow.exits.raises:
        if state.open and line != call.at.line:
            return "raise", line
    return None


def _has_finally(body: Iterable[Statement], flow: _Open) -> bool:
    for statement in body:
        if isinstance(statement, Try) and any(
            not flow.may_raise(each) for part in statement.final for each in _all_expressions(part)
        ):
            return True
        if any(_has_finally(block, flow) for block in children(statement)):
            return True
    return False


def _all_expressions(statement: Statement) -> Iterator[Expression]:
    yield from expressions_of(statement)
    for block in children(statement):
        for each in block:
            yield from _all_expressions(each)


def _last_line(scope: Function) -> int:
    return scope.facts.at.end_line
