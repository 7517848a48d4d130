"""TXN103: ``begin()`` or a second context manager on a session that somebody else has begun."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Await, Call, Expression, Place, With
from ..findings import Finding, Level, Step
from ..origins import last_name
from ..symbols import Function
from ..values import FunctionValue, Session
from ..walk import statements_in
from .base import Rule

__all__ = ["RULE"]

_LEVELS: dict[str, Level] = {
    "given": "warning",
    "managed": "warning",
    "registry": "warning",
    "injected": "note",
    "scope": "note",
}
_OWNERS = {
    "given": "'{0}' was given to '{1}'",
    "managed": "'{0}' belongs to the app context",
    "registry": "'{0}' belongs to its registry",
    "injected": "'{0}' is injected",
    "scope": "'{0}' at line {2} opened it and ends it",
}
_OWNING = frozenset({"begin", "begin_nested", "commit"})


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the places that begin or enter an owned session."""
    for scope in analysis.functions:
        if analysis.owners.is_scope(scope) or scope.id in analysis.owners.receivers:
            continue  # it is the owner that others enter, or that a session was handed to
        yield from _begins(scope, analysis)
        yield from _second_managers(scope, analysis)


def _begins(scope: Function, analysis: Analysis) -> Iterator[Finding]:
    calls = [each for each in scope.calls if _begun(each, scope, analysis) is not None]
    if not calls or _asks_first(scope):
        return
    flow = analysis.transactions(scope)
    begun = flow.begins if flow is not None else {}
    for call in calls:
        session = _begun(call, scope, analysis)
        inside = begun.get(id(call))
        if inside is not None and session is not None:
            cause = f"the statement at line {inside.opened.line} has begun its transaction"
            yield _finding(call.at, text_of(call.func), "error", cause, scope, (inside.opened,))
        elif session is not None and _is_of_our_block(call, session, scope, analysis):
            cause = f"'{session.text}' at line {session.line} has begun its transaction"
            yield _finding(call.at, text_of(call.func), "error", cause, scope, ())
        elif (
            session is not None
            and session.origin in _LEVELS
            and not _is_first(call, session, scope, analysis)
            and not _is_left_to_the_block(session, scope, analysis)
        ):
            cause = _cause(session, scope)
            yield _finding(call.at, text_of(call.func), _LEVELS[session.origin], cause, scope, ())


def _cause(session: Session, scope: Function) -> str:
    return _OWNERS[session.origin].format(session.text, scope.name, session.line)


def _is_of_our_block(call: Call, session: Session, scope: Function, analysis: Analysis) -> bool:
    """Whether the session is the one that a block of this package around *call* gave, and began."""
    opened = analysis.scopes.around(scope).get(id(call))
    return opened is not None and session.origin == "scope" and opened.at.line == session.line


def _is_first(call: Call, session: Session, scope: Function, analysis: Analysis) -> bool:
    """Whether it begins the session of the app in a plain entry point, outside of scopes: nobody has begun it."""
    owners = analysis.owners
    kind = owners.entry(scope)
    if session.origin not in {"managed", "registry"} or not kind:
        return False
    if id(call) in analysis.scopes.around(scope) or owners.has_owning_decorator(scope):
        return False
    if {"route": "views", "task": "jobs", "job": "jobs"}.get(kind) in analysis.project.wired:
        return False
    return len(scope.facts.decorators) <= 1  # any other may load the user, which begins


def _is_left_to_the_block(session: Session, scope: Function, analysis: Analysis) -> bool:
    """Whether a manager of the project gives the session, and only closes it: it neither begins nor commits."""
    for statement in statements_in(scope.facts.body):
        for item, _ in statement.items if isinstance(statement, With) else ():
            call = item.value if isinstance(item, Await) else item
            if isinstance(call, Call) and call.at.line == session.line:
                value = analysis.evaluator.value(call.func, scope)
                if isinstance(value, FunctionValue) and _only_closes(value.function, analysis):
                    return session.origin == "scope"
    return False


def _only_closes(manager: Function, analysis: Analysis) -> bool:
    if any(last_name(each.func) in _OWNING for each in manager.calls):
        return False
    blocks = (each for each in statements_in(manager.facts.body) if isinstance(each, With))
    entered = (analysis.evaluator.entered(each, manager) for one in blocks for each, _ in one.items)
    return all(isinstance(each, Session) and each.origin == "made" for each in entered)


def _begun(call: Call, scope: Function, analysis: Analysis) -> Session | None:
    action = analysis.effects.action(call, scope)
    return action.session if action.effect & Effect.BEGIN else None


def _asks_first(scope: Function) -> bool:
    """Whether the function looks at ``in_transaction()`` and knows what it does."""
    return any(
        methods & {"in_transaction", "in_nested_transaction"} for methods in scope.uses.values()
    ) or any(text_of(each.func).endswith("in_transaction") for each in scope.calls)


def _second_managers(scope: Function, analysis: Analysis) -> Iterator[Finding]:
    for statement in statements_in(scope.facts.body):
        if not isinstance(statement, With):
            continue
        for expression, _ in statement.items:
            session = _entered(expression, scope, analysis)
            if session is not None and session.origin in _LEVELS:
                text = text_of(expression)
                cause = f"{_cause(session, scope)}, and the block closes it"
                level = "warning" if session.origin != "scope" else _LEVELS["scope"]
                place = (
                    expression.at
                    if isinstance(expression, Call)
                    else Place(statement.line, 0, statement.line, 0)
                )
                yield _finding(place, text, level, cause, scope, (), manager=True)


def _entered(expression: Expression, scope: Function, analysis: Analysis) -> Session | None:
    if isinstance(expression, Await):
        expression = expression.value
    if isinstance(expression, str):
        return analysis.evaluator.session(expression, scope)
    if isinstance(expression, Call) and isinstance(expression.func, str) and not expression.args:
        found = analysis.evaluator.session(expression.func, scope)
        return found if found is not None and found.origin == "managed" else None
    return None


def _finding(
    at: Place,
    text: str,
    level: Level,
    cause: str,
    scope: Function,
    steps: tuple[Step, ...],
    *,
    manager: bool = False,
) -> Finding:
    what = f"'with {text}:'" if manager else f"'{text}()'"
    message = f"{what} takes over a session that is not its own: {cause}."
    call = "Use 'with session_manager():', which joins an open transaction, or 'begin_nested()' for a savepoint."
    last = Step(scope.path, at.line, f"{what} stands here")
    return finding(RULE.id, level, scope, at, message, call, (*steps, last))


RULE = Rule(
    "TXN103",
    "begin-on-owned-session",
    ("error", "warning", "note"),
    "'begin()' or a second context manager on an injected, managed or already begun session",
    find,
)
