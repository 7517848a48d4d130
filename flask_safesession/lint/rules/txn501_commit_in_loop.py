"""TXN501: a commit per iteration over one result set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import (
    Call,
    Const,
    Expression,
    For,
    Group,
    If,
    Jump,
    Raise,
    Return,
    Statement,
    Try,
    While,
    With,
)
from ..findings import Finding, Step
from ..origins import last_name
from ..summaries import catches_database_errors
from ..symbols import Function
from ..values import Session
from ..walk import calls_in, calls_of, children, expressions_of, flat, statements_in
from .base import Rule

__all__ = ["RULE"]

_CHUNKS = re.compile(
    r"chunk|batch|page|partition|slice|block|window|group|attempt|retr|tries|polling|forever|stream|consum|listen|messages|events_from",
    re.IGNORECASE,
)
_MEASURES = frozenset({"len", "monotonic", "perf_counter", "time"})
_COUNTERS = re.compile(r"count|size|pending|batch|chunk|since|(?:^|_)n$|num", re.IGNORECASE)
_ENDLESS = frozenset(
    {
        "count",
        "cycle",
        "iter",
        "range",
        "listen",
        "consume",
        "get_db",
        "get_session",
        "yield_per",
        "partitions",
        "batched",
        "islice",
        "grouper",
        "Retrying",
        "stop_after_attempt",
    }
)
_ITERATION_OWNERS = ("made", "scope")


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the commits inside loops."""
    for scope in analysis.functions:
        for loop in _loops(scope.facts.body):
            if not _on_purpose(loop, scope, analysis):
                yield from _commits(loop.body, loop, scope, analysis)


def _loops(body: Iterable[Statement]) -> Iterator[For]:
    """Return the outermost loops; what is inside a ``while`` is a loop on purpose."""
    for statement in body:
        if isinstance(statement, For):
            yield statement
        elif isinstance(statement, While):
            continue
        else:
            for block in children(statement):
                yield from _loops(block)


def _on_purpose(loop: For, scope: Function, analysis: Analysis) -> bool:
    """Whether the loop goes over chunks, tries, a handful of literals, or a generator that gives sessions."""
    iterable = loop.iterable
    if isinstance(iterable, Group) and iterable.kind == "tuple":
        return True
    names = [text_of(each) for each in _named_in(iterable)]
    names += [each for each in flat(loop.target) if isinstance(each, str)]
    if any(_CHUNKS.search(each.rpartition(".")[2]) for each in names):
        return True
    calls = list(calls_of(iterable))
    if any(last_name(each.func) in _ENDLESS for each in calls) or _has_limit(loop, scope, analysis):
        return True
    if any(analysis.evaluator.session(each, scope) is not None for each in flat(loop.target)):
        return True
    return _counts(loop.body) or _undoes_items(loop)


def _undoes_items(loop: For) -> bool:
    """Whether a handler in the loop rolls an item back, and the next one goes on."""
    handlers = (
        handler
        for statement in statements_in(loop.body)
        if isinstance(statement, Try)
        for handler in statement.handlers
    )
    return any(
        last_name(call.func) == "rollback"
        for handler in handlers
        if not any(isinstance(each, Raise) for each in handler.body)
        for call in calls_in(handler.body)
    )


def _named_in(iterable: Expression) -> Iterator[Expression]:
    yield iterable
    if isinstance(iterable, Call):
        yield from iterable.args


def _has_limit(loop: For, scope: Function, analysis: Analysis) -> bool:
    """Whether the rows were fetched with ``limit()``, so that the loop is a chunk itself."""
    expressions = [loop.iterable]
    if isinstance(loop.iterable, str):
        expressions += [each.value for each in scope.bindings.get(loop.iterable, ())]
    return any(
        last_name(call.func) in {"limit", "fetchmany", "yield_per", "partitions"}
        for each in expressions
        for call in calls_of(each)
    )


def _counts(body: Iterable[Statement]) -> bool:
    """Whether an ``if`` counts: ``if i % 100 == 0``, ``if len(batch) >= size`` or ``if time() - last > 5``."""
    for statement in body:
        if (
            isinstance(statement, If)
            and _is_counter(statement.test)
            and _commits_below(statement.body)
        ):
            return True
        if any(_counts(block) for block in children(statement)):
            return True
    return False


def _is_counter(test: Expression) -> bool:
    if any(isinstance(each, Group) and each.kind == "mod" for each in flat(test)):
        return True
    if not isinstance(test, Group) or test.kind != "compare":
        return False
    if any(isinstance(each, Const) and each.value in {0, 1} for each in test.items):
        return False
    if any(last_name(each.func) in _MEASURES for each in calls_of(test)):
        return True
    return any(isinstance(each, str) and _COUNTERS.search(each) for each in test.items)


def _commits_below(body: Iterable[Statement]) -> bool:
    return any(
        "commit" in last_name(each.func) or "flush" in last_name(each.func)
        for each in calls_in(body)
    )


# --- the commits


def _commits(
    body: tuple[Statement, ...], loop: For, scope: Function, analysis: Analysis
) -> Iterator[Finding]:
    """Return the commits that every iteration may come to; an own ``try`` makes the iteration a unit of its own."""
    for index, statement in enumerate(body):
        for expression in expressions_of(statement):
            for call in calls_of(expression):
                session = _committed(call, scope, analysis)
                if session is None or _leaves(statement, body[index + 1 :]):
                    continue
                if not _made_inside(session, loop):
                    yield _finding(call, session, loop, scope)
        yield from _below(statement, loop, scope, analysis, body[index + 1 :])


def _below(
    statement: Statement,
    loop: For,
    scope: Function,
    analysis: Analysis,
    after: tuple[Statement, ...],
) -> Iterator[Finding]:
    if isinstance(statement, Try) and any(
        catches_database_errors(each, scope, analysis.effects) for each in statement.handlers
    ):
        return
    if isinstance(statement, While):
        return
    if isinstance(statement, For) and _on_purpose(statement, scope, analysis):
        return
    if isinstance(statement, With) and _own_scope(statement, scope, analysis):
        return
    for block in children(statement):
        if _always_leaves(after) and not isinstance(statement, For):
            continue
        yield from _commits(block, loop, scope, analysis)


def _own_scope(statement: With, scope: Function, analysis: Analysis) -> bool:
    for expression, target in statement.items:
        session = analysis.evaluator.session(target, scope) if isinstance(target, str) else None
        if session is not None and session.origin in {"made", "scope", "unknown"}:
            return True
        if isinstance(expression, Call) and analysis.effects.action(expression, scope).effect & (
            Effect.BEGIN | Effect.NESTED
        ):
            return True
    return False


def _committed(call: Call, scope: Function, analysis: Analysis) -> Session | None:
    action = analysis.effects.action(call, scope)
    if action.session is not None:
        return action.session if action.effect & Effect.COMMIT else None
    if not _is_committer(call):
        return None
    found = analysis.effects.on(call, scope)
    return next((session for session, effect in found if effect & Effect.COMMIT), None)


def _is_committer(call: Call) -> bool:
    """Whether a helper says in its name that it commits or saves; deeper commits are TXN102's."""
    name = last_name(call.func).lower()
    return "commit" in name or name in {
        "save",
        "save_to_db",
        "store",
        "persist",
        "save_changes",
        "safe_commit",
    }


def _made_inside(session: Session, loop: For) -> bool:
    if session.origin not in _ITERATION_OWNERS or not session.line:
        return False
    return loop.line <= session.line <= _last_line(loop.body, loop.line)


def _last_line(body: Iterable[Statement], line: int) -> int:
    for statement in body:
        line = max(line, statement.line)
        for block in children(statement):
            line = _last_line(block, line)
    return line


def _leaves(statement: Statement, after: tuple[Statement, ...]) -> bool:
    return isinstance(statement, Return) or _always_leaves(after)


def _always_leaves(after: tuple[Statement, ...]) -> bool:
    """Whether the loop is left right after, so that there is one commit at most."""
    for each in after:
        if isinstance(each, Return) or (isinstance(each, Jump) and each.kind == "break"):
            return True
        if isinstance(each, Jump):
            return False
        if children(each):
            return False
    return False


# --- the words


def _finding(call: Call, session: Session, loop: For, scope: Function) -> Finding:
    name = text_of(call.func)
    message = (
        f"'{name}()' commits in every iteration of the loop at line {loop.line}: when one fails, those before it "
        f"stay stored and those after it do not."
    )
    steps = (
        Step(scope.path, loop.line, f"the loop over '{_loop_text(loop.iterable)}' starts here"),
        Step(scope.path, call.at.line, f"'{name}()' commits '{session.text}' for each item"),
    )
    text = "Commit once after the loop, or give each item a transaction of its own with 'with session_manager():'."
    return finding(RULE.id, "warning", scope, call.at, message, text, steps)


def _loop_text(iterable: Expression) -> str:
    return text_of(iterable) if not isinstance(iterable, Const) else "…"


RULE = Rule(
    "TXN501",
    "commit-in-loop",
    ("warning",),
    "a commit per iteration over one result set",
    find,
)
