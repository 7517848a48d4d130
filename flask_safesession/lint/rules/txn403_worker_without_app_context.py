"""TXN403: a thread, executor, timer or scheduler target that needs the app and has no context."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..analysis import Analysis, finding
from ..effects import text_of, without_lenders
from ..facts import Call, With
from ..findings import Finding, Step
from ..handing import Handing
from ..origins import last_name
from ..surroundings import CONTEXT_PUSHES
from ..symbols import Function
from ..values import ClassValue, External, FunctionValue, Result
from ..walk import expressions_of, names_in, statements_in
from .base import Rule

__all__ = ["RULE"]

_KINDS = frozenset({"thread", "executor", "timer", "scheduler"})
_APP_PROXIES = frozenset({"flask.current_app", "flask.g", "flask.globals.current_app"})
_CONTEXT = re.compile(r"(?:^|_|\.)(?:ctx|context)$")
_DEEPEST = 3


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the hand-overs whose target has no context."""
    for handing in analysis.handings:
        target = handing.target
        if handing.kind not in _KINDS or target is None:
            continue
        if _context_comes(handing, target, analysis):
            continue
        owner = analysis.effects.owner(handing.call.func, handing.scope)
        if (
            handing.kind == "executor"
            and isinstance(owner, Result)
            and owner.path.startswith("flask_")
        ):
            continue  # an extension's executor brings the context
        need = _need(target, analysis, 0, set())
        if need is not None:
            yield _finding(handing, target, need)


def _context_comes(handing: Handing, target: Function, analysis: Analysis) -> bool:
    """Whether the executor, the scheduler or a decorator of the target pushes the context."""
    if handing.kind == "scheduler" and "schedulers" in analysis.project.wired:
        return True
    if any("context" in name.lower() or "app" in name.lower() for name in target.binding_names):
        return True
    if _is_decorated(target, analysis):
        return True
    if _pushes(target.module.body, analysis):
        return True
    return any(isinstance(each, str) and "context" in each.lower() for each in (handing.callee,))


def _pushes(function: Function, analysis: Analysis) -> bool:
    """Whether *function* pushes a context; 'current_app.app_context()' needs one itself."""
    calls = without_lenders(function.calls)
    pushes = (text_of(each.func) for each in calls if _is_push(each))
    if any(not _is_proxy(each, function, analysis) for each in pushes):
        return True
    blocks = (each for each in statements_in(function.facts.body) if isinstance(each, With))
    return any(_CONTEXT.search(text_of(each)) for block in blocks for each, _ in block.items)


def _is_decorated(function: Function, analysis: Analysis) -> bool:
    """Whether a decorator of the project pushes a context around *function*, whatever its name."""
    outer = function.outer or function.module.body
    for each in function.facts.decorators:
        value = analysis.evaluator.value(each.func if isinstance(each, Call) else each, outer)
        found: Iterable[Function] = ()
        if isinstance(value, FunctionValue):
            found = value.function.everything()
        elif isinstance(value, ClassValue):
            found = value.cls.methods.values()
        if any(_pushes(inner, analysis) for inner in found):
            return True
    return False


def _is_push(call: Call) -> bool:
    """Whether it makes a context, or pushes one that was made elsewhere."""
    owner, _, name = text_of(call.func).rpartition(".")
    return name in CONTEXT_PUSHES or (name == "push" and bool(_CONTEXT.search(owner)))


def _need(function: Function, analysis: Analysis, depth: int, seen: set[str]) -> Step | None:
    """Return where *function*, or what it calls, reaches for the app."""
    if depth > _DEEPEST or function.id in seen or _pushes(function, analysis):
        return None
    seen.add(function.id)
    own = _own_need(function, analysis)
    if own is not None:
        return own
    for call in function.calls:
        for callee in analysis.effects.action(call, function).callees:
            named = any("context" in name.lower() for name in callee.binding_names)
            if not named and not _is_decorated(callee, analysis):
                found = _need(callee, analysis, depth + 1, seen)
                if found is not None:
                    return found
    return None


def _own_need(function: Function, analysis: Analysis) -> Step | None:
    for call in function.calls:
        action = analysis.effects.action(call, function)
        session = action.session
        if session is None or session.origin != "managed":
            continue
        if not (session.text.endswith(".query") and _has_own_queries(analysis)):
            return Step(
                function.path, call.at.line, f"'{text_of(call.func)}()' needs an app context"
            )
    for statement in statements_in(function.facts.body):
        for expression in expressions_of(statement):
            for name in names_in(expression):
                if _is_proxy(name, function, analysis):
                    return Step(function.path, statement.line, f"'{name}' needs an app context")
    return None


def _has_own_queries(analysis: Analysis) -> bool:
    """Whether ``Model.query`` comes from a ``scoped_session`` here, which asks for no app."""
    return any(last_name(call.func) == "query_property" for _, call in analysis.calls())


def _is_proxy(name: str, function: Function, analysis: Analysis) -> bool:
    head, _, rest = name.partition(".")
    if rest.startswith("_get_current_object"):
        return False
    value = analysis.evaluator.value(head, function)
    if isinstance(value, External):
        return value.path in _APP_PROXIES or (
            value.path == "flask" and f"flask.{rest.partition('.')[0]}" in _APP_PROXIES
        )
    return False


def _finding(handing: Handing, target: Function, need: Step) -> Finding:
    name = handing.text
    message = (
        f"'{name}()' runs '{target.name}' in {handing.receiver} without an app context, and it reaches for the app "
        f"({need.path}:{need.line})."
    )
    steps = (
        Step(handing.scope.path, handing.call.at.line, f"'{name}()' hands '{target.name}' over"),
        need,
    )
    call = "Wrap the target: 'AppContextManager(app).thread(…)', '.executor(…)' or '@AppContextManager(app)'."
    return finding(RULE.id, "error", handing.scope, handing.call.at, message, call, steps)


RULE = Rule(
    "TXN403",
    "worker-without-app-context",
    ("error",),
    "a thread, executor, timer or scheduler target that uses 'db.session', 'current_app' or models with no context",
    find,
)
