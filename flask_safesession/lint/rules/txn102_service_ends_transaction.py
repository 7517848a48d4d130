"""TXN102: a function that works on a session it was given ends the transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Assign, Call, Expression, Group
from ..findings import Finding, Level, Step
from ..origins import last_name, place_key
from ..symbols import Function
from ..values import Session
from ..walk import flat, statements_in
from .base import Rule

__all__ = ["RULE"]

_VERBS = {
    Effect.COMMIT: "commit()",
    Effect.ROLLBACK: "rollback()",
    Effect.CLOSE: "close()",
}
_ENDING_NAMES = (
    "commit",
    "rollback",
    "roll_back",
    "discard",
    "close",
    "save",
    "end_transaction",
    "session_scope",
    "transaction",
    "teardown",
    "cleanup",
    "__exit__",
    "__aexit__",
    "__enter__",
    "__del__",
    "dispose",
    "shutdown",
    "begin",
    "flush_or_fail",
)
# The caller decides whether the function ends the transaction.
_DECIDES = re.compile(r"commit|(?:^|_)close(?:_|$)|own_?session|new_?session")
# The function looks first whether a scope is open.
_ASKS = frozenset({"current_scope", "in_transaction", "in_nested_transaction"})
_INSTEAD = (
    "Call 'flush()' here and let the owner commit, or open an own transaction with "
    "'session_manager(propagation=\"requires_new\")'."
)
_DEEPEST = 3


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the calls that end somebody else's transaction."""
    for scope in analysis.functions:
        if scope.name == "<module>":
            continue
        endings = list(_endings(scope, analysis))
        if not endings:
            continue
        yield from _in_scopes(endings, scope, analysis)
        if _is_exempt(scope, analysis):
            continue
        own = _own_parameters(scope)
        for call, effect, session in endings:
            if session.origin == "given" and session.parameter not in own:
                yield _finding(call, effect, session, scope, analysis)


def _endings(scope: Function, analysis: Analysis) -> Iterator[tuple[Call, Effect, Session]]:
    for call in scope.calls:
        action = analysis.effects.action(call, scope)
        if action.session is not None and action.effect in _VERBS:
            yield call, action.effect, action.session


def _is_exempt(scope: Function, analysis: Analysis) -> bool:
    """Whether the function is an owner, or is there to end transactions and says so in its name."""
    owners = analysis.owners
    if owners.is_scope(scope) or scope.name == "<lambda>":
        return True
    outer: Function | None = scope
    while outer is not None:
        if outer.name != "<module>" and (
            owners.entry(outer) or owners.has_owning_decorator(outer) or owners.is_registered(outer)
        ):
            return not _is_listener(outer)
        outer = outer.outer
    if any(_DECIDES.search(name) for name in scope.parameters):
        return True
    return any(word in scope.name.lower() for word in _ENDING_NAMES)


def _is_listener(scope: Function) -> bool:
    return "listens_for" in scope.binding_names


def _own_parameters(scope: Function) -> frozenset[str]:
    """Return the parameters that may hold a session of its own: ``session = session or SessionLocal()``."""
    assigned = (each for each in statements_in(scope.facts.body) if isinstance(each, Assign))
    chosen = (
        name for each in assigned for name in scope.parameters if _is_choice(each.value, name)
    )
    return frozenset((*scope.bindings, *chosen))


def _is_choice(value: Expression, name: str) -> bool:
    return (
        isinstance(value, Group)
        and value.kind in {"either", "chosen"}
        and any(each == name for each in flat(value))
    )


# --- the session of the app context


def _in_scopes(
    endings: list[tuple[Call, Effect, Session]], scope: Function, analysis: Analysis
) -> Iterator[Finding]:
    """Return the calls that end a transaction which only a scope around them may end."""
    if any(last_name(each.func) in _ASKS for each in scope.calls):
        return
    around = analysis.scopes.around(scope)
    for call, effect, session in endings:
        opened = around.get(id(call))
        if opened is not None and session.origin in {"managed", "scope"}:
            if session.origin == "managed" or session.key == place_key(opened, scope):
                cause = f"inside the scope that '{text_of(opened.func)}()' opens at line {opened.at.line}"
                step = Step(scope.path, opened.at.line, "the scope begins")
                yield _scoped_finding(call, effect, session, cause, (step,), scope)
        elif session.origin == "managed" and id(call) not in around:
            yield from _below_a_scope(call, effect, session, scope, analysis)


def _below_a_scope(
    call: Call, effect: Effect, session: Session, scope: Function, analysis: Analysis
) -> Iterator[Finding]:
    """Return the call where a decorator, a caller or ``services`` says that a scope is open around the function."""
    opener = analysis.scopes.opener(scope)
    steps: tuple[Step, ...] = ()
    if analysis.scopes.decorated(scope):
        cause = "inside the scope of its '@transactional'"
    elif opener is not None and not any(_DECIDES.search(name) for name in scope.parameters):
        caller, at = opener
        cause = f"inside the scope of '{caller.name}' ({caller.path}:{at.at.line})"
        steps = (Step(caller.path, at.at.line, f"'{caller.name}' calls inside its scope"),)
    elif _is_service(scope, analysis) and not _is_exempt(scope, analysis):
        cause = "and its file is one of 'services'"
    else:
        return
    yield _scoped_finding(call, effect, session, cause, steps, scope)


def _scoped_finding(
    call: Call,
    effect: Effect,
    session: Session,
    cause: str,
    steps: tuple[Step, ...],
    scope: Function,
) -> Finding:
    verb = _VERBS[effect]
    message = f"'{scope.name}' calls '{verb}' on '{session.text}' {cause}."
    last = Step(scope.path, call.at.line, f"'{verb}' ends the transaction")
    return finding(RULE.id, "error", scope, call.at, message, _INSTEAD, (*steps, last))


# --- how sure


def _finding(
    call: Call, effect: Effect, session: Session, scope: Function, analysis: Analysis
) -> Finding:
    verb = _VERBS[effect]
    owner = _owner(scope, analysis, 0, set())
    # An object may be the unit of work itself, unless it got its session from a scope.
    held = session.key.startswith("self|") and not (owner and _gets_a_scope(*owner, analysis))
    level: Level = (
        "error" if (owner is not None and not held) or _is_service(scope, analysis) else "note"
    )
    given = f"'{session.text}', which '{scope.name}' was given"
    message = f"'{scope.name}' calls '{verb}' on {given}: whoever opened the transaction can no longer undo it."
    if session.parameter and session.text.startswith("self."):
        given = f"'{session.text}', which its object was given by '{session.parameter}'"
        message = f"'{scope.name}' calls '{verb}' on {given}."
    steps = [Step(scope.path, call.at.line, f"'{verb}' ends the transaction")]
    if owner is not None:
        caller, at = owner
        message = (
            message.removesuffix(".") + f"; '{caller.name}' owns it ({caller.path}:{at.at.line})."
        )
        steps.insert(
            0, Step(caller.path, at.at.line, f"'{caller.name}' calls with its own session")
        )
    return finding(RULE.id, level, scope, call.at, message, _INSTEAD, steps)


def _gets_a_scope(caller: Function, call: Call, analysis: Analysis) -> bool:
    """Whether *call* ends the session of the scope that it stands in."""
    scoped = analysis.scopes.around(caller).get(id(call)) is not None
    ended = (
        session
        for session, effect in analysis.effects.on(call, caller)
        if effect & Effect.ENDS and session.origin in {"managed", "scope"}
    )
    return scoped and any(ended)


def _is_service(scope: Function, analysis: Analysis) -> bool:
    return any(fnmatchcase(scope.path, glob) for glob in analysis.project.options.services)


def _owner(
    scope: Function, analysis: Analysis, depth: int, seen: set[str]
) -> tuple[Function, Call] | None:
    """Return a caller that owns a scope, and its call, up to three calls away."""
    if depth >= _DEEPEST or scope.id in seen:
        return None
    seen.add(scope.id)
    callers = analysis.callers.get(scope.id, [])
    opener = analysis.scopes.opener(scope)
    if opener is not None:
        return opener
    for caller, call in callers:
        if caller.name != "<module>" and analysis.owners.owns(caller):
            return caller, call
    for caller, _ in callers:
        found = _owner(caller, analysis, depth + 1, seen)
        if found is not None:
            return found
    return None


RULE = Rule(
    "TXN102",
    "service-ends-transaction",
    ("error", "note"),
    "a function that works on a session it was given commits, rolls back or closes it",
    find,
)
