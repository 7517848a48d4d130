"""Follows the paths through a body: branches, loops, handlers, ``finally``, ``with``, and every way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from .facts import (
    Def,
    Expression,
    For,
    Handler,
    If,
    Jump,
    Raise,
    Return,
    Statement,
    Try,
    While,
    With,
)
from .vocabulary import ALL_ERRORS
from .walk import calls_of, expressions_of

__all__ = ["Exits", "Flow", "TooManyPaths", "catches_all"]

S = TypeVar("S")

_MOST_STEPS = 20_000


class TooManyPaths(Exception):  # noqa: N818 - an answer, which no user sees raised
    """A body that is nested so deeply that following it would take minutes."""


@dataclass(slots=True)
class Exits(Generic[S]):
    """The states in which a body is left, by the way out."""

    returns: list[tuple[Return, S]] = field(default_factory=list)
    raises: list[tuple[int, S]] = field(default_factory=list)
    breaks: list[S] = field(default_factory=list)
    continues: list[S] = field(default_factory=list)


class Flow(ABC, Generic[S]):
    """Carries a state along every path; a subclass says what changes it.

    None stands for "no path comes here".
    """

    def __init__(self) -> None:
        self.exits: Exits[S] = Exits()
        self.steps = 0

    # --- what a subclass says

    @abstractmethod
    def join(self, states: Iterable[S]) -> S:
        """Return the state of a place that can be reached in each of *states*."""

    @abstractmethod
    def evaluate(self, expression: Expression, state: S) -> S:
        """Return the state after *expression* was evaluated."""

    def assign(self, statement: Statement, state: S) -> S:
        """Return the state after the targets of a statement were bound."""
        return state

    def enter(self, item: tuple[Expression, Expression], state: S) -> S:
        """Return the state after a context manager was entered."""
        return state

    def leave(self, item: tuple[Expression, Expression], state: S, *, failed: bool) -> S:
        """Return the state after a context manager was left."""
        return state

    def choose(self, statement: If, chosen: S | None, otherwise: S | None) -> S | None:
        """Return the state after an ``if`` from those of its two branches."""
        return self.either(chosen, otherwise)

    def catch(self, handler: Handler, state: S) -> S:
        """Return the state in which a handler starts."""
        return state

    @abstractmethod
    def never_returns(self, expression: Expression) -> bool:
        """Whether evaluating *expression* always raises."""

    def may_raise(self, expression: Expression) -> bool:
        """Whether an exception of *expression* is to be followed."""
        return True

    # --- the walk

    def run(self, body: Iterable[Statement], state: S | None) -> S | None:
        """Return the state after *body*, None where no path gets there."""
        for statement in body:
            if state is None:
                return None
            state = self._step(statement, state)
        return state

    def either(self, *states: S | None) -> S | None:
        """Join those of *states* that a path comes to."""
        reached = [each for each in states if each is not None]
        return self.join(reached) if reached else None

    def _step(self, statement: Statement, state: S) -> S | None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TooManyPaths
        walk = _STEPS.get(type(statement))
        if walk is not None:
            return cast("S | None", walk(self, statement, state))
        if isinstance(statement, Def):
            return state
        after = self._evaluated(statement, state)
        return None if after is None else self.assign(statement, after)

    def _evaluated(self, statement: Statement, state: S) -> S | None:
        """Return the state after the statement's own expressions; each call in them may raise."""
        for expression in expressions_of(statement):
            if expression is None or isinstance(expression, str):
                continue
            if any(True for _ in calls_of(expression)):
                if self.may_raise(expression):
                    self.exits.raises.append((statement.line, state))
                state = self.evaluate(expression, state)
                if self.never_returns(expression):
                    self.exits.raises.append((statement.line, state))
                    return None
            else:
                state = self.evaluate(expression, state)
        return state

    def _return(self, statement: Return, state: S) -> None:
        after = self._evaluated(statement, state)
        if after is not None:
            self.exits.returns.append((statement, self.assign(statement, after)))

    def _raise(self, statement: Raise, state: S) -> None:
        after = self._evaluated(statement, state)
        self.exits.raises.append((statement.line, state if after is None else after))

    def _jump(self, statement: Jump, state: S) -> None:
        (self.exits.breaks if statement.kind == "break" else self.exits.continues).append(state)

    def _if(self, statement: If, state: S) -> S | None:
        before = self._evaluated(statement, state)
        if before is None:
            return None
        chosen = self.run(statement.body, before)
        return self.choose(statement, chosen, self.run(statement.orelse, before))

    def _loop(self, statement: For | While, state: S) -> S | None:
        before = self._evaluated(statement, state)
        if before is None:
            return None
        outer, inner = self.exits, Exits[S]()
        self.exits = inner
        start: S | None = before
        for _ in range(2):
            inner.continues.clear()
            end = (
                self.run(statement.body, self.assign(statement, start))
                if start is not None
                else None
            )
            start = self.either(before, end, *inner.continues)
        self.exits = outer
        self._forward(inner)
        forever = isinstance(statement, While) and statement.forever
        after = None if forever else self.run(statement.orelse, start)
        return self.either(after, *inner.breaks)

    def _forward(self, inner: Exits[S], *, raises: bool = True) -> None:
        self.exits.returns += inner.returns
        if raises:
            self.exits.raises += inner.raises

    def _with(self, statement: With, state: S) -> S | None:
        return self._managed(statement, 0, state)

    def _managed(self, statement: With, index: int, state: S) -> S | None:
        """Follow the block below the context managers from *index* on, each inside the one before."""
        if index == len(statement.items):
            return self.run(statement.body, state)
        item = statement.items[index]
        if any(True for _ in calls_of(item[0])) and self.may_raise(item[0]):
            self.exits.raises.append((statement.line, state))
        current = self.enter(item, self.evaluate(item[0], state))
        outer, inner = self.exits, Exits[S]()
        self.exits = inner
        end = self._managed(statement, index + 1, current)
        self.exits = outer
        leave = self.leave
        outer.returns += [(at, leave(item, each, failed=False)) for at, each in inner.returns]
        outer.raises += [(at, leave(item, each, failed=True)) for at, each in inner.raises]
        outer.breaks += [leave(item, each, failed=False) for each in inner.breaks]
        outer.continues += [leave(item, each, failed=False) for each in inner.continues]
        return None if end is None else leave(item, end, failed=False)

    def _try(self, statement: Try, state: S) -> S | None:
        outer, whole = self.exits, Exits[S]()
        guarded = Exits[S]()
        self.exits = guarded
        end = self.run(statement.body, state)
        self.exits = whole
        self._forward(guarded, raises=False)
        whole.breaks += guarded.breaks
        whole.continues += guarded.continues
        if not catches_all(statement):
            whole.raises += guarded.raises
        end = self.run(statement.orelse, end)
        caught = (
            self.either(state, *[each for _, each in guarded.raises]) if guarded.raises else None
        )
        ends = [end, *[self._handled(each, caught) for each in statement.handlers]]
        self.exits = outer
        return self._finally(statement, self.either(*ends), whole)

    def _handled(self, handler: Handler, state: S | None) -> S | None:
        return None if state is None else self.run(handler.body, self.catch(handler, state))

    def _finally(self, statement: Try, end: S | None, inner: Exits[S]) -> S | None:
        if not statement.final:
            self._forward(inner)
            self.exits.breaks += inner.breaks
            self.exits.continues += inner.continues
            return end
        for at, state in inner.returns:
            left = self.run(statement.final, state)
            if left is not None:
                self.exits.returns.append((at, left))
        raised = self.either(*[each for _, each in inner.raises])
        after = self.run(statement.final, raised)
        if after is not None:
            self.exits.raises.append((inner.raises[0][0], after))
        self.exits.breaks += [
            each
            for each in (self.run(statement.final, one) for one in inner.breaks)
            if each is not None
        ]
        self.exits.continues += [
            each
            for each in (self.run(statement.final, one) for one in inner.continues)
            if each is not None
        ]
        return self.run(statement.final, end)


def catches_all(statement: Try) -> bool:
    """Whether no exception of the body gets past the handlers."""
    return any(
        not each.types
        or any(isinstance(one, str) and one.rpartition(".")[2] in ALL_ERRORS for one in each.types)
        for each in statement.handlers
    )


_STEPS: dict[type[Statement], Callable[[Flow[Any], Any, Any], Any]] = {
    Return: Flow._return,  # noqa: SLF001 - a table of this class's own methods
    Raise: Flow._raise,  # noqa: SLF001
    Jump: Flow._jump,  # noqa: SLF001
    If: Flow._if,  # noqa: SLF001
    For: Flow._loop,  # noqa: SLF001
    While: Flow._loop,  # noqa: SLF001
    With: Flow._with,  # noqa: SLF001
    Try: Flow._try,  # noqa: SLF001
}
