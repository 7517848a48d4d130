"""TXN301: a session made from a factory that some path leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ..analysis import Analysis, finding
from ..effects import text_of
from ..escape import escapes, given_away, is_context_manager, is_inline, is_kept
from ..facts import (
    Assign,
    Call,
)
from ..findings import Finding, Level, Step
from ..leaks import left_open
from ..symbols import Function
from ..values import Session
from ..walk import flat, statements_in
from .base import Rule

__all__ = ["RULE"]

_CALL = "Open it with 'with session_manager() as session:', or 'with {text} as session:' without an app."


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the sessions that stay open."""
    for scope in analysis.functions:
        if scope.name == "<module>":
            continue  # TXN302 speaks of those
        for call, name, line in _made_sessions(scope, analysis):
            yield from _judge(call, name, line, scope, analysis)


def _made_sessions(scope: Function, analysis: Analysis) -> Iterator[tuple[Call, str, int]]:
    """Return each call that makes a session here, with the local name that it gets, if any."""
    named = dict(_named(scope))
    for call in scope.calls:
        value = analysis.evaluator.called(call, scope)
        if (
            isinstance(value, Session)
            and value.origin == "made"
            and value.line == call.at.line
            and _makes(call, value)
        ):
            yield call, named.get(id(call), ""), call.at.line


def _makes(call: Call, value: Session) -> bool:
    """Whether this very call makes the session, rather than one inside it."""
    return value.key.endswith(f"|{call.at.line}|{call.at.column}")


def _named(scope: Function) -> Iterator[tuple[int, str]]:
    for statement in statements_in(scope.facts.body):
        if isinstance(statement, Assign):
            for value in flat(statement.value):
                if isinstance(value, Call):
                    for target in statement.targets:
                        yield id(value), target if isinstance(target, str) else "?"


def _judge(
    call: Call, name: str, line: int, scope: Function, analysis: Analysis
) -> Iterator[Finding]:
    if is_context_manager(call, scope) or given_away(call, scope) or is_kept(call, scope, analysis):
        return
    if not name:
        if is_inline(call, scope, analysis):
            yield _inline(call, scope)
        return
    if (
        name == "?"
        or "." in name
        or name in scope.facts.outer_names
        or escapes(name, scope, analysis)
    ):
        return
    session = cast("Session", analysis.evaluator.session(call, scope))  # the one that it makes
    open_at = left_open(session, call, scope, analysis)
    if open_at is not None:
        yield _named_finding(call, name, line, open_at, scope)


# --- the words


def _named_finding(
    call: Call, name: str, line: int, open_at: tuple[str, int], scope: Function
) -> Finding:
    made = text_of(call)
    how, where = open_at
    first = Step(scope.path, line, f"'{name}' came from '{made}'")
    if how == "return":
        message = (
            f"'{name}' came from '{made}' at line {line}; 'return' at line {where} leaves it open."
        )
        steps = (first, Step(scope.path, where, "'return' leaves it open"))
    elif how == "end":
        message = (
            f"'{name}' came from '{made}' at line {line}; the function ends without closing it."
        )
        steps = (first, Step(scope.path, where, "the function ends, and the session is still open"))
    else:
        message = f"'{name}' came from '{made}' at line {line}; an exception at line {where} leaves it open."
        steps = (first, Step(scope.path, where, "an exception here passes by every 'close()'"))
    level: Level = "warning" if how == "raise" else "error"
    return finding(RULE.id, level, scope, call.at, message, _CALL.format(text=made), steps)


def _inline(call: Call, scope: Function) -> Finding:
    made = text_of(call)
    message = f"'{made}' makes a session that has no name, so nothing can close it."
    step = Step(scope.path, call.at.line, f"'{made}' makes the session")
    return finding(RULE.id, "error", scope, call.at, message, _CALL.format(text=made), (step,))


RULE = Rule(
    "TXN301",
    "unclosed-session",
    ("error", "warning"),
    "a session made from a factory that some path leaves open",
    find,
)
