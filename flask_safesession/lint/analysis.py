"""Everything that the rules may ask about a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from .effects import Effect, Effects
from .evaluate import Evaluator
from .facts import Call, Place
from .findings import Finding, Level, Step
from .handing import Handing, handings
from .owners import Owners
from .project import Project
from .raising import Raising
from .scopes import Scopes
from .summaries import Callers, summarize
from .symbols import Function
from .transactions import Transactions, follow

__all__ = ["Analysis"]


class Analysis:
    """A project with its values, effects, callers and owners.

    Args:
        project: The symbol table.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.evaluator = Evaluator(project)
        self.effects = Effects(project, self.evaluator)
        self.callers: Callers = summarize(self.effects)
        self.raising = Raising(self.effects)
        self.owners = Owners(self)
        self.scopes = Scopes(self)
        self._transactions: dict[str, Transactions | None] = {}

    def transactions(self, scope: Function) -> Transactions | None:
        """Return the transactions of *scope*; None where nothing in it can matter to one."""
        if scope.id not in self._transactions:
            matters = self._matters(scope)
            self._transactions[scope.id] = follow(scope, self) if matters else None
        return self._transactions[scope.id]

    def _matters(self, scope: Function) -> bool:
        """Whether *scope* waits, enqueues or begins, and works on a session at all."""
        summary = self.effects.summary(scope)
        if not summary.effects:
            return False
        if summary.slow is not None or summary.enqueues is not None:
            return True
        if any(effect & Effect.BEGIN for effect in summary.effects.values()):
            return True
        callees = (
            callee for call in scope.calls for callee in self.effects.action(call, scope).callees
        )
        return any(
            self.effects.summary(each).slow or self.effects.summary(each).enqueues
            for each in callees
        )

    @cached_property
    def handings(self) -> tuple[Handing, ...]:
        """Every call that hands a function and its arguments to another thread, task, process or queue."""
        return tuple(handings(self))

    @property
    def functions(self) -> list[Function]:
        """Every function of the project, bodies of modules included."""
        return self.project.functions

    def calls(self) -> Iterator[tuple[Function, Call]]:
        """Return every call with the function that it stands in."""
        for function in self.functions:
            for call in function.calls:
                yield function, call


def finding(
    rule: str,
    level: Level,
    scope: Function,
    at: Place,
    message: str,
    call: str,
    steps: Iterable[Step] = (),
) -> Finding:
    """Return a finding at a place of *scope*."""
    name = "" if scope.name == "<module>" else scope.facts.qualname
    return Finding(
        scope.path,
        at[0],
        at[1] + 1,
        at[2],
        at[3] + 1,
        rule,
        level,
        message,
        call,
        name,
        tuple(steps),
    )
