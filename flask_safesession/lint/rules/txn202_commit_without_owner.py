"""TXN202: a commit on a session of the whole process, which nobody rolls back when it fails."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, is_bound, text_of
from ..facts import Call, With
from ..findings import Finding, Step
from ..origins import argument_for
from ..summaries import guarded_calls
from ..symbols import Function
from ..values import Instance, Session
from ..walk import calls_in, statements_in
from .base import Rule

__all__ = ["RULE"]

_DEEPEST = 3
_HOOKS = frozenset(
    {
        "teardown_request",
        "teardown_appcontext",
        "teardown_app_request",
        "after_request",
        "middleware",
        "task_postrun",
    }
)


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the commits that nobody undoes."""
    undone = _undone_by_hooks(analysis)
    for scope in analysis.functions:
        if not any(
            effect & Effect.COMMIT for effect in analysis.effects.summary(scope).effects.values()
        ):
            continue
        entered = _entered(scope, analysis)
        for call, guarded in guarded_calls(scope.facts.body, scope, analysis.effects):
            action = analysis.effects.action(call, scope)
            if guarded or action.session is None or not action.effect & Effect.COMMIT:
                continue
            if (id(call), action.session.key) in entered:
                continue
            session = _global(action.session, scope, analysis)
            if session is None or session.key in undone or _is_undone(scope, analysis, 0, set()):
                continue
            yield _finding(call, session, scope)


def _entered(scope: Function, analysis: Analysis) -> frozenset[tuple[int, str]]:
    """Return the calls, each with the key of the session that a ``with`` block around it closes."""
    return frozenset(
        (id(call), entered.key)
        for statement in statements_in(scope.facts.body)
        if isinstance(statement, With)
        for item in statement.items
        for entered in (analysis.evaluator.session(each, scope) for each in item)
        if entered is not None
        for call in calls_in(statement.body)
    )


def _undone_by_hooks(analysis: Analysis) -> frozenset[str]:
    found: set[str] = set()
    for function in analysis.functions:
        if function.binding_names & _HOOKS:
            for key, effect in analysis.effects.summary(function).effects.items():
                if effect & (Effect.ROLLBACK | Effect.CLOSE):
                    found.add(key)
    return frozenset(found)


def _global(session: Session, scope: Function, analysis: Analysis) -> Session | None:
    """Return the global session that *session* is, also where a caller or a constructor's caller gave it."""
    if session.origin == "global":
        return session
    if session.origin != "given" or not session.parameter:
        return None
    function = scope
    if session.key.startswith("self|") and scope.cls is not None:
        init = analysis.project.method(scope.cls, "__init__")
        if init is None:
            return None
        function = init
    for caller, call in analysis.callers.get(function.id, ()):
        action = analysis.effects.action(call, caller)
        bound = isinstance(action.receiver, Instance) or is_bound(function, action)
        argument = argument_for(call, function, session.parameter, bound=bound)
        given = analysis.evaluator.session(argument, caller)
        if given is not None and given.origin == "global":
            return given
    return None


def _is_undone(scope: Function, analysis: Analysis, depth: int, seen: set[str]) -> bool:
    """Whether a caller, up to three calls away, rolls back when the call fails."""
    if depth >= _DEEPEST or scope.id in seen:
        return False
    seen.add(scope.id)
    for caller, call in analysis.callers.get(scope.id, ()):
        for each, guarded in guarded_calls(caller.facts.body, caller, analysis.effects):
            if each is call and guarded:
                return True
        if _is_undone(caller, analysis, depth + 1, seen):
            return True
    return False


def _finding(call: Call, session: Session, scope: Function) -> Finding:
    name = text_of(call.func)
    message = (
        f"'{name}()' commits '{session.text}', which the whole process shares, and nobody rolls it back when that "
        f"fails: every later user of it gets the failed transaction."
    )
    steps = (
        Step(session.path, session.line, f"'{session.text}' is made once for the process"),
        Step(scope.path, call.at.line, f"'{name}()' commits it"),
    )
    text = "Open a session for each unit of work: 'with session_manager() as session:'."
    return finding(
        RULE.id, "warning", scope, call.at, message, text, steps if session.line else steps[1:]
    )


RULE = Rule(
    "TXN202",
    "commit-without-owner",
    ("warning",),
    "a commit on a global session that nobody rolls back or closes on failure",
    find,
)
