"""A session that is given to a function: one that ends it whatever it is called there, or one that was not read."""

from __future__ import annotations

from collections.abc import Iterator

from .effects import Effects, is_bound, text_of
from .facts import Call, Expression
from .origins import argument_for
from .symbols import Function
from .values import External

__all__ = ["ended_by_callee", "gives_session_to_unread"]


def ended_by_callee(
    call: Call, scope: Function, effects: Effects, methods: frozenset[str]
) -> Iterator[Expression]:
    """Return the arguments on which a function that *call* reaches calls one of *methods*."""
    action = effects.action(call, scope)
    for callee in action.callees:
        bound = is_bound(callee, action)
        for name, used in callee.uses.items():
            given = argument_for(call, callee, name, bound=bound) if used & methods else None
            if given is not None:
                yield given


def gives_session_to_unread(call: Call, scope: Function, effects: Effects) -> Iterator[Expression]:
    """Return the sessions that *call* gives to a function of the project whose file was not read."""
    if not isinstance(effects.evaluator.value(call.func, scope), External):
        return
    head = text_of(call.func).partition(".")[0]
    if not _is_of_the_project(_imported(head, scope), scope):
        return
    for each in (*call.args, *(value for _, value in call.keywords)):
        if effects.evaluator.session(each, scope) is not None:
            yield each


def _imported(name: str, scope: Function) -> str:
    """Return what *name* was imported from, empty for what is no import."""
    at: Function | None = scope
    while at is not None:
        if name in at.facts.imports:
            return at.facts.imports[name]
        at = at.outer
    return scope.module.facts.imports.get(name, "")


def _is_of_the_project(target: str, scope: Function) -> bool:
    """Whether an import is a relative one, or of the package that the file belongs to."""
    package, dot, _ = scope.module.name.partition(".")
    return target.startswith(".") or (bool(dot) and target.partition(".")[0] == package)
