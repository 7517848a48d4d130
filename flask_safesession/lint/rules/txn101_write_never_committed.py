"""TXN101: a write that no path from an entry point commits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Attr, Call, Expression, With
from ..findings import Finding, Step
from ..origins import last_name
from ..setting import Written, set_attributes
from ..symbols import Function
from ..values import ENDS_WITH_ITS_CONTEXT, External, Result, Session
from ..walk import statements_in
from .base import Rule

__all__ = ["RULE"]

_DEEPEST = 8  # deeper than effects are followed: a commit may stand further away than its write
_MAYBE_COMMITS = re.compile(
    r"commit|^save|_save|^store|^persist|^finali[sz]e|^transaction|^atomic|^flush_and|^create_|^update_|^upsert|^delete_|^log_|^record_|^sync_|^process_|^handle_|^register_|^import_|^run_|^execute_"
)
_MAYBE_SCOPES = re.compile(
    r"session|transaction|atomic|begin|scope|unit_?of_?work|uow|commit", re.IGNORECASE
)


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the lost writes of every entry point."""
    for scope in analysis.functions:
        kind = analysis.owners.entry(scope)
        if (
            kind
            and not scope.facts.is_generator
            and not analysis.owners.has_owning_decorator(scope)
        ):
            yield from _lost(scope, kind, analysis)


def _lost(scope: Function, kind: str, analysis: Analysis) -> Iterator[Finding]:
    summary = analysis.effects.summary(scope)
    if any(effect & (Effect.COMMIT | Effect.ROLLBACK) for effect in summary.effects.values()):
        return
    writes = {each.session.key: each for each in set_attributes(scope, kind, analysis)}
    for key, effect in summary.effects.items():
        call = _write(key, scope, analysis) if effect & Effect.WRITE else None
        if call is not None:
            text = f"'{text_of(call.func)}()' writes to '{summary.sessions[key].text}'"
            writes[key] = Written(summary.sessions[key], call.at, text)
    for each in writes.values():
        lost = not _committed_elsewhere(each.session, kind, analysis)
        if lost and not _may_commit(scope, analysis, 0, set()):
            yield _finding(each, kind, scope)


def _committed_elsewhere(session: Session, kind: str, analysis: Analysis) -> bool:
    """Whether a hook, a middleware, a dependency or the block of the session commits."""
    owners = analysis.owners
    if session.origin in {"scope", "unknown", "held", "global"}:
        return True
    if session.origin == "given":
        return True
    if session.origin == "injected":
        return owners.dependencies_commit or owners.commits_after_requests
    if kind == "route" and owners.may_commit_after_requests:
        return True
    if session.origin not in ENDS_WITH_ITS_CONTEXT:
        return False
    if kind == "route":
        return "views" in analysis.project.wired
    if kind == "task" and owners.commits_after_tasks:
        return True
    return kind in {"task", "job"} and "jobs" in analysis.project.wired


def _write(key: str, scope: Function, analysis: Analysis) -> Call | None:
    """Return the call that writes, the last one of them."""
    found: Call | None = None
    for call in scope.calls:
        for session, effect in analysis.effects.on(call, scope):
            if session.key == key and effect & Effect.WRITE:
                found = call
    return found


def _may_commit(function: Function, analysis: Analysis, depth: int, seen: set[str]) -> bool:
    """Whether something that cannot be seen through may commit."""
    if depth > _DEEPEST or function.id in seen:
        return False
    seen.add(function.id)
    if any(_is_unknown_scope(each, function, analysis) for each in _managers(function)):
        return True
    for call in function.calls:
        action = analysis.effects.action(call, function)
        if action.session is not None:
            if action.effect & (Effect.BEGIN | Effect.COMMIT):
                return True
        elif action.callees:
            if any(
                analysis.owners.has_owning_decorator(each)
                or _may_commit(each, analysis, depth + 1, seen)
                for each in action.callees
            ):
                return True
        elif _is_doubtful(call, function, analysis):
            return True
    return False


def _managers(function: Function) -> Iterator[Expression]:
    for statement in statements_in(function.facts.body):
        if isinstance(statement, With):
            for expression, _ in statement.items:
                yield expression


def _is_unknown_scope(expression: Expression, function: Function, analysis: Analysis) -> bool:
    if not isinstance(expression, Call):
        return False
    action = analysis.effects.action(expression, function)
    if action.effect & (Effect.BEGIN | Effect.NESTED):
        return bool(action.effect & Effect.BEGIN)
    value = analysis.evaluator.entered(expression, function)
    if isinstance(value, Session) and value.origin == "made":
        return last_name(expression.func) == "begin"
    return bool(_MAYBE_SCOPES.search(text_of(expression.func)))


def _is_doubtful(call: Call, function: Function, analysis: Analysis) -> bool:
    """Whether a call that leads out of sight gets the session, or has a name that speaks of storing."""
    name = last_name(call.func).lower()
    text = text_of(call.func)
    value = analysis.evaluator.value(call.func, function)
    if "commit" in name:
        return True
    package = value.path.partition(".")[0] if isinstance(value, External | Result) else ""
    if package == "flask_safesession":
        return True  # whatever ends the transaction then, the package sees to it
    if isinstance(value, External):
        known = package in {"flask", "sqlalchemy", "logging", "click"}
        return not known and _gets_session(call, function, analysis)
    if _MAYBE_COMMITS.search(name) and ("." in text or isinstance(call.func, Attr)):
        return not text.startswith(("log.", "logger.", "logging."))
    if any(
        _commits(each, analysis)
        for each in analysis.project.methods_named.get(last_name(call.func), ())
    ):
        return True
    return _gets_session(call, function, analysis)


def _commits(function: Function, analysis: Analysis) -> bool:
    return any(
        effect & Effect.COMMIT for effect in analysis.effects.summary(function).effects.values()
    )


def _gets_session(call: Call, function: Function, analysis: Analysis) -> bool:
    arguments = (*call.args, *[value for _, value in call.keywords])
    return any(
        analysis.evaluator.session(each, function) is not None
        for each in arguments
        if isinstance(each, str)
    )


def _finding(written: Written, kind: str, scope: Function) -> Finding:
    message = (
        f"{written.text}, and no path from the {kind} '{scope.name}' commits it: the change "
        f"is rolled back when the session ends."
    )
    steps = (
        Step(scope.path, scope.facts.at.line, f"the {kind} '{scope.name}' starts here"),
        Step(scope.path, written.at.line, f"{written.text}, and nothing commits after it"),
    )
    text = "Put the work into 'with session_manager():', or decorate the function with '@transactional'."
    return finding(RULE.id, "error", scope, written.at, message, text, steps)


RULE = Rule(
    "TXN101",
    "write-never-committed",
    ("error",),
    "a write that no path from an entry point commits",
    find,
)
