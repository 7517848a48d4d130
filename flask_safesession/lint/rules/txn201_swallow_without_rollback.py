"""TXN201: an ``except`` around database work that neither re-raises nor rolls back while the session lives on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Call, Expression, Handler, Jump, Raise, Return, Statement, Try, With
from ..findings import Finding, Level, Step
from ..origins import last_name
from ..raising import raises_later
from ..summaries import catches_database_errors, heals, opens_savepoint
from ..surroundings import CONTEXT_PUSHES
from ..symbols import Function
from ..values import ENDS_WITH_ITS_CONTEXT, Session
from ..vocabulary import WIDE_DATABASE_ERRORS
from ..walk import calls_of, children, expressions_of
from .base import Rule

__all__ = ["RULE"]

_HARD = Effect.WRITE | Effect.FLUSH | Effect.COMMIT


@dataclass(frozen=True, slots=True)
class _Work:
    """Database work whose failure reaches a handler."""

    call: Call
    session: Session
    effect: Effect
    direct: bool


@dataclass(frozen=True, slots=True)
class _Around:
    """What encloses a ``try``.

    Attributes:
        closing: Whether the session ends when an enclosing block is left, and nothing comes in between.
        loop: Whether a loop inside that block goes on with the session.
        healed: Whether a ``finally`` or a later handler undoes it.
        behind: Whether one does as soon as the loop is left.
    """

    scopes: tuple[str, ...] = ()
    loop: bool = False
    healed: bool = False
    behind: bool = False


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the handlers that swallow."""
    for scope in analysis.functions:
        yield from _below(scope.facts.body, scope, analysis, _Around())


def _below(
    body: tuple[Statement, ...], scope: Function, analysis: Analysis, around: _Around
) -> Iterator[Finding]:
    for index, statement in enumerate(body):
        if isinstance(statement, Try):
            yield from _judge(statement, body[index + 1 :], scope, analysis, around)
            healed = around.healed or heals(statement.final, scope, analysis.effects)
            inner = replace(around, healed=healed)
            for block in children(statement):
                yield from _below(block, scope, analysis, inner)
        elif isinstance(statement, With):
            keys = tuple(_entered(statement, scope, analysis))
            inner = replace(around, scopes=(*around.scopes, *keys), loop=around.loop and not keys)
            yield from _below(statement.body, scope, analysis, inner)
        else:
            inner = around
            if type(statement).__name__ in {"For", "While"}:
                behind = around.healed or around.behind
                inner = replace(around, loop=True, healed=False, behind=behind)
            for block in children(statement):
                yield from _below(block, scope, analysis, inner)


def _entered(statement: With, scope: Function, analysis: Analysis) -> Iterator[str]:
    for expression, target in statement.items:
        session = analysis.evaluator.session(target, scope) if isinstance(target, str) else None
        if session is None:
            session = analysis.evaluator.session(expression, scope)
        if session is not None:
            yield session.key


def _judge(
    statement: Try,
    after: tuple[Statement, ...],
    scope: Function,
    analysis: Analysis,
    around: _Around,
) -> Iterator[Finding]:
    if around.healed or heals(statement.final, scope, analysis.effects):
        return
    if around.loop and heals(statement.body[:1], scope, analysis.effects):
        return  # each try begins with a clean session
    if not any(
        catches_database_errors(each, scope, analysis.effects) for each in statement.handlers
    ):
        return
    work = _worst(statement, scope, analysis)
    if work is None or _ends_soon(work, after, scope, analysis, around):
        return
    for handler in statement.handlers:
        if not catches_database_errors(handler, scope, analysis.effects):
            continue
        goes_on = around.loop and not _leaves_the_loop(handler)
        if not goes_on and (around.behind or _request_ends(handler, work, after, scope, analysis)):
            continue
        if _swallows(handler, after, scope, analysis, around) and _matters(
            work, handler, after, scope, analysis, around
        ):
            yield _finding(handler, work, scope, analysis)
        if _is_wide(handler):
            return


def _request_ends(
    handler: Handler, work: _Work, after: tuple[Statement, ...], scope: Function, analysis: Analysis
) -> bool:
    """Whether the handler answers the request, whose end throws the session away."""
    if work.session.origin not in ENDS_WITH_ITS_CONTEXT or not analysis.owners.answers(scope):
        return False
    if analysis.owners.commits_after_requests or _uses(handler.body, work.session, scope, analysis):
        return False
    leaves = bool(handler.body) and isinstance(handler.body[-1], Return)
    return leaves or not _uses(after, work.session, scope, analysis)


def _leaves_the_loop(handler: Handler) -> bool:
    last = handler.body[-1] if handler.body else None
    return isinstance(last, Return) or (isinstance(last, Jump) and last.kind == "break")


def _is_wide(handler: Handler) -> bool:
    return not handler.types or any(
        isinstance(each, str) and each.rpartition(".")[2] in WIDE_DATABASE_ERRORS
        for each in handler.types
    )


def _swallows(
    handler: Handler,
    after: tuple[Statement, ...],
    scope: Function,
    analysis: Analysis,
    around: _Around,
) -> bool:
    is_raised_later = not around.loop and raises_later(handler, scope)
    if is_raised_later or heals(handler.body, scope, analysis.effects):
        return False
    ends = after if after and isinstance(after[-1], Raise) else ()
    return analysis.raising.falls_through((*handler.body, *ends), scope)


# --- the work in the ``try``


def _worst(statement: Try, scope: Function, analysis: Analysis) -> _Work | None:
    """Return the work that matters most: a commit before a write before a read, a direct one before a callee's."""
    found = list(_work(statement.body, scope, analysis))
    return max(found, key=_weight, default=None)


def _weight(work: _Work) -> tuple[int, int]:
    rank = 3 if work.effect & Effect.COMMIT else 2 if work.effect & _HARD else 1
    return rank, int(work.direct)


def _work(body: Iterable[Statement], scope: Function, analysis: Analysis) -> Iterator[_Work]:
    for statement in body:
        if isinstance(statement, With) and _isolates(statement, scope, analysis):
            continue
        for expression in expressions_of(statement):
            yield from _work_of(expression, scope, analysis)
        if isinstance(statement, Try):
            if not _handled_inside(statement, scope, analysis):
                yield from _work(statement.body, scope, analysis)
            for handler in statement.handlers:
                yield from _work(handler.body, scope, analysis)
            yield from _work((*statement.orelse, *statement.final), scope, analysis)
        else:
            for block in children(statement):
                yield from _work(block, scope, analysis)


def _isolates(statement: With, scope: Function, analysis: Analysis) -> bool:
    """Whether the block has a session, a savepoint or a context of its own, which ends before the handler starts."""
    for expression, target in statement.items:
        if opens_savepoint(expression, scope, analysis.effects):
            return True
        session = analysis.evaluator.session(target, scope) if isinstance(target, str) else None
        if session is not None and session.origin in {"made", "scope", "unknown"}:
            return True
        if isinstance(expression, Call) and (
            "session" in text_of(expression.func).lower()
            or last_name(expression.func) in CONTEXT_PUSHES
        ):
            return True
    return False


def _handled_inside(statement: Try, scope: Function, analysis: Analysis) -> bool:
    """Whether an inner ``try`` deals with the errors of the database itself, well or badly."""
    if heals(statement.final, scope, analysis.effects):
        return True
    return any(
        catches_database_errors(each, scope, analysis.effects)
        and (_is_wide(each) or heals(each.body, scope, analysis.effects))
        for each in statement.handlers
    )


def _work_of(expression: Expression, scope: Function, analysis: Analysis) -> Iterator[_Work]:
    for call in calls_of(expression):
        action = analysis.effects.action(call, scope)
        for session, effect in analysis.effects.on(call, scope, exposed=True):
            sent = effect & (Effect.READ | Effect.FLUSH | Effect.COMMIT)
            if sent and not _stays_clean(action.effect, text_of(call.func)):
                yield _Work(call, session, effect & Effect.WORK, action.session is not None)


def _stays_clean(effect: Effect, text: str) -> bool:
    """Whether the call alone sends nothing: ``query()`` builds, ``add()`` remembers."""
    return effect == Effect.READ and text.endswith(".query")


# --- whether it matters


def _ends_soon(
    work: _Work, after: tuple[Statement, ...], scope: Function, analysis: Analysis, around: _Around
) -> bool:
    """Whether the session is closed right after the handler, or undone behind the loop with nothing committed."""
    session = work.session
    effects = analysis.effects.summary(scope).effects
    if around.behind and not effects.get(session.key, Effect.NONE) & Effect.COMMIT:
        return True
    closing = session.key in around.scopes and not around.loop
    if closing and not _uses(after, session, scope, analysis):
        return True
    return _closes(after, session, scope, analysis)


def _closes(
    body: Iterable[Statement], session: Session, scope: Function, analysis: Analysis
) -> bool:
    for statement in body:
        for expression in expressions_of(statement):
            for call in calls_of(expression):
                for each, effect in analysis.effects.on(call, scope):
                    if each.key == session.key:
                        return bool(effect & (Effect.CLOSE | Effect.ROLLBACK))
    return False


def _uses(body: Iterable[Statement], session: Session, scope: Function, analysis: Analysis) -> bool:
    for statement in body:
        for expression in expressions_of(statement):
            for call in calls_of(expression):
                if any(each.key == session.key for each, _ in analysis.effects.on(call, scope)):
                    return True
        if any(_uses(block, session, scope, analysis) for block in children(statement)):
            return True
    return False


def _matters(
    work: _Work,
    handler: Handler,
    after: tuple[Statement, ...],
    scope: Function,
    analysis: Analysis,
    around: _Around,
) -> bool:
    """Reads alone matter where the session is somebody else's and goes on."""
    if work.effect & _HARD or not work.direct or work.session.origin in {"given", "held"}:
        return work.direct or bool(work.effect & _HARD)
    goes_on = around.loop and not (handler.body and isinstance(handler.body[-1], Return))
    return _uses(handler.body, work.session, scope, analysis) or (
        goes_on and work.session.origin not in {"made", "scope"}
    )


# --- the words


def _finding(handler: Handler, work: _Work, scope: Function, analysis: Analysis) -> Finding:
    name = ", ".join(str(each) for each in handler.types) or "a bare 'except'"
    what = f"'{text_of(work.call.func)}()' at line {work.call.at.line}"
    catcher = f"{handler.suppress}({name})" if handler.suppress else f"except {name}"
    message = (
        f"'{catcher}' swallows the failure of {what} and neither re-raises nor rolls back; "
        f"'{work.session.text}' goes on with a transaction that has failed."
    )
    if not handler.types:
        message = message.replace("'except a bare 'except''", "A bare 'except'")
    hard = work.direct and work.effect & (Effect.COMMIT | Effect.FLUSH)
    level: Level = "error" if hard else "warning"
    steps = (
        Step(scope.path, work.call.at.line, f"{text_of(work.call.func)}() can fail here"),
        Step(scope.path, handler.at.line, "the failure is swallowed here"),
    )
    call = "Call 'rollback()' on the session in the handler, re-raise, or put the work into 'with session_manager():'."
    return finding(RULE.id, level, scope, handler.at, message, call, steps)


RULE = Rule(
    "TXN201",
    "swallow-without-rollback",
    ("error", "warning"),
    "an 'except' around database work that neither re-raises nor rolls back while the session lives on",
    find,
)
