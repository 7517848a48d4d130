"""Fills the summaries: what every function does by itself, then through what it calls, three calls deep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .effects import ROUNDS, Action, Effect, Effects, Summary
from .facts import Call, Expression, Handler, Statement, Try, With
from .findings import Step
from .lent import ended_by_callee, gives_session_to_unread
from .origins import last_name
from .symbols import Function
from .values import ClassValue, External, FunctionValue, Session
from .vocabulary import ALL_ERRORS, AMBIGUOUS_ERRORS, DATABASE_ERRORS, DATABASE_PACKAGES
from .waiting import enqueues, waits
from .walk import calls_in, calls_of, children, expressions_of, statements_in

__all__ = ["Callers", "catches_database_errors", "guarded_calls", "heals", "summarize"]

_OWNERS = frozenset(
    {
        "transactional",
        "transaction",
        "atomic",
        "commit_on_success",
        "in_transaction",
        "with_transaction",
    }
)

# A wait further away is seldom the caller's to mend, and often behind a condition that it does not meet.
_DEEPEST_WAIT = 1
_DEEPEST_FAILURE = 2
_HEALING = frozenset({"rollback", "close"})

Callers = dict[str, list[tuple[Function, Call]]]


def summarize(effects: Effects) -> Callers:
    """Fill the summaries of *effects*, and return who calls each function."""
    callers: Callers = {}
    links: list[tuple[Function, list[tuple[Call, bool, Action]]]] = []
    for function in effects.project.functions:
        own = _own(function, effects, callers)
        if own:
            links.append((function, own))
    owned = list(_decorated(effects))
    for depth in range(ROUNDS):
        for function, endings in owned:
            _own_transaction(effects.summary(function), endings)
        # All are read before any is changed: what a function learns goes one call further in a round, and no more.
        exposed = depth < _DEEPEST_FAILURE
        learnt = [list(_from_callees(*link, effects, exposed=exposed)) for link in links]
        changed = [
            _learn(effects.summary(function), news)
            for (function, _), news in zip(links, learnt, strict=True)
        ]
        if not any(changed):
            break
    for function, endings in owned:
        _own_transaction(effects.summary(function), endings)
    for _ in range(ROUNDS):
        for function in effects.project.functions:
            _note_tail(function, effects)
    return callers


def _decorated(effects: Effects) -> Iterator[tuple[Function, Summary]]:
    """Return the functions whose decorator ends the transaction, with what it does."""
    for function in effects.project.functions:
        for decorator in function.facts.decorators:
            endings = _endings(decorator, function, effects)
            if endings is not None:
                yield function, endings


def _endings(decorator: Expression, function: Function, effects: Effects) -> Summary | None:
    func = decorator.func if isinstance(decorator, Call) else decorator
    name = last_name(func)
    outer = function.outer or function.module.body
    value = effects.evaluator.value(func, outer)
    named = effects.is_named(func, outer, effects.project.options.owners)
    if isinstance(value, FunctionValue):
        found = Summary()
        for inner in value.function.everything():
            summary = effects.summary(inner)
            for key, effect in summary.effects.items():
                if effect & Effect.COMMIT:
                    found.add(summary.sessions[key], effect, exposed=False)
        if found.effects or not named:
            return found if found.effects else None
    if name in _OWNERS or named:
        found = Summary()
        found.add(
            Session("managed", "managed", "db.session"),
            Effect.COMMIT | Effect.ROLLBACK,
            exposed=False,
        )
        return found
    return None


def _own_transaction(summary: Summary, endings: Summary) -> None:
    """Take in what a decorator does around the function: it commits what was written, and undoes what failed."""
    for key, effect in endings.effects.items():
        session = endings.sessions[key]
        if not key.startswith(("made|", "param|")):
            summary.add(session, effect & Effect.ENDS, exposed=False)
    if any(effect & Effect.ROLLBACK for effect in endings.effects.values()):
        summary.exposed.clear()
    summary.owned = True


def _note_tail(function: Function, effects: Effects) -> None:
    summary = effects.summary(function)
    if summary.owned or not any(effect & Effect.ENDS for effect in summary.effects.values()):
        return  # all of its effects are its tail
    tail: dict[str, Effect] = {}
    for call in function.calls:
        for session, effect in effects.on(call, function):
            summary.sessions.setdefault(session.key, session)
            if effect & Effect.ENDS:
                tail[session.key] = Effect.NONE
            else:
                tail[session.key] = tail.get(session.key, Effect.NONE) | effect
        for session, effect in effects.after(call, function):
            tail[session.key] = tail.get(session.key, Effect.NONE) | effect
            summary.sessions.setdefault(session.key, session)
    summary.tail = tail


def _own(function: Function, effects: Effects, callers: Callers) -> list[tuple[Call, bool, Action]]:
    summary = effects.summary(function)
    links: list[tuple[Call, bool, Action]] = []
    told = (*effects.project.options.slow_calls, *effects.project.options.sinks)
    for call, guarded in guarded_calls(function.facts.body, function, effects):
        action = effects.action(call, function)
        if action.session is not None:
            summary.add(action.session, action.effect, exposed=not guarded)
        elif action.callees:
            links.append((call, guarded, action))
            for callee in action.callees:
                callers.setdefault(callee.id, []).append((function, call))
        if action.session is None and (
            not action.callees or effects.is_named(call, function, told)
        ):
            _note_waiting(call, function, effects, summary)
    return links


def _note_waiting(call: Call, function: Function, effects: Effects, summary: Summary) -> None:
    if summary.slow is None and not _is_retry(call, function):
        slow = waits(call, function, effects)
        if slow:
            summary.slow = Step(function.path, call.at.line, f"'{slow}()' waits here")
    if summary.enqueues is None:
        queue = enqueues(call, function, effects)
        if queue:
            summary.enqueues = Step(
                function.path, call.at.line, f"'{queue}()' hands work to a queue here"
            )


def _is_retry(call: Call, function: Function) -> bool:
    """Whether *call* is a pause after a failure, which callers seldom see."""
    if "sleep" not in last_name(call.func):
        return False
    handlers = (
        each
        for statement in statements_in(function.facts.body)
        if isinstance(statement, Try)
        for each in statement.handlers
    )
    return any(inner is call for handler in handlers for inner in calls_in(handler.body))


def _from_callees(
    function: Function, calls: list[tuple[Call, bool, Action]], effects: Effects, *, exposed: bool
) -> Iterator[tuple[Session, Effect, bool] | Summary]:
    """Return what the callees of *function* do to its sessions, and those callees that wait or enqueue."""
    for call, guarded, action in calls:
        for session, effect in effects.on(call, function):
            yield session, effect, False
        if exposed and not guarded:
            for session, effect in effects.on(call, function, exposed=True):
                yield session, effect, True
        for callee in action.callees:
            inner = effects.summary(callee)
            if inner.slow is not None or inner.enqueues is not None:
                yield replace(inner)


def _learn(summary: Summary, news: Iterable[tuple[Session, Effect, bool] | Summary]) -> bool:
    changed = False
    for each in news:
        if isinstance(each, Summary):
            changed |= _learn_waiting(summary, each)
        else:
            session, effect, exposed = each
            changed |= summary.add(session, effect, exposed=exposed)
    return changed


def _learn_waiting(summary: Summary, inner: Summary) -> bool:
    changed = False
    if summary.slow is None and inner.slow is not None and inner.slow_depth < _DEEPEST_WAIT:
        summary.slow, summary.slow_depth, changed = inner.slow, inner.slow_depth + 1, True
    if summary.enqueues is None and inner.enqueues is not None:
        summary.enqueues, changed = inner.enqueues, True
    return changed


def guarded_calls(
    body: Iterable[Statement], scope: Function, effects: Effects, *, guarded: bool = False
) -> Iterator[tuple[Call, bool]]:
    """Return every call below *body*, and whether its failure is undone before it leaves the function."""
    for statement in body:
        for expression in expressions_of(statement):
            for call in calls_of(expression):
                yield call, guarded
        if isinstance(statement, Try):
            inner = guarded or _undone(statement, scope, effects)
            yield from guarded_calls(statement.body, scope, effects, guarded=inner)
            for handler in statement.handlers:
                yield from guarded_calls(handler.body, scope, effects, guarded=guarded)
            yield from guarded_calls(
                (*statement.orelse, *statement.final), scope, effects, guarded=guarded
            )
        elif isinstance(statement, With):
            inner = guarded or any(
                opens_savepoint(each, scope, effects) for each, _ in statement.items
            )
            yield from guarded_calls(statement.body, scope, effects, guarded=inner)
        else:
            for block in children(statement):
                yield from guarded_calls(block, scope, effects, guarded=guarded)


def opens_savepoint(expression: Expression, scope: Function, effects: Effects) -> bool:
    """Whether a context manager undoes what its block did when that fails."""
    if not isinstance(expression, Call):
        return False
    action = effects.action(expression, scope)
    return bool(action.effect & (Effect.NESTED | Effect.BEGIN))


def _undone(statement: Try, scope: Function, effects: Effects) -> bool:
    if heals(statement.final, scope, effects):
        return True
    return any(
        catches_database_errors(each, scope, effects) and heals(each.body, scope, effects)
        for each in statement.handlers
    )


def heals(body: Iterable[Statement], scope: Function, effects: Effects) -> bool:
    """Whether *body* rolls some session back, or closes one, by itself or through a helper."""
    for call in calls_in(body):
        name = last_name(call.func).lower()
        if (
            "rollback" in name
            or "roll_back" in name
            or name in {"invalidate", "close_session", "remove_session"}
        ):
            return True
        action = effects.action(call, scope)
        if action.effect & (Effect.ROLLBACK | Effect.CLOSE) or _is_given_away(call, scope, effects):
            return True
        if action.callees and any(
            _heals_by_summary(effect)
            for callee in action.callees
            for effect in effects.summary(callee).effects.values()
        ):
            return True
    return False


def _is_given_away(call: Call, scope: Function, effects: Effects) -> bool:
    """Whether a session goes to a function that ends it by any name, or that was not read and may."""
    ended = ended_by_callee(call, scope, effects, _HEALING)
    if any(effects.evaluator.session(each, scope) is not None for each in ended):
        return True
    return any(True for _ in gives_session_to_unread(call, scope, effects))


def _heals_by_summary(effect: Effect) -> bool:
    return bool(effect & (Effect.ROLLBACK | Effect.CLOSE)) and not effect & Effect.COMMIT


def catches_database_errors(handler: Handler, scope: Function, effects: Effects) -> bool:
    """Whether what a failed statement raises ends in *handler*."""
    if not handler.types:
        return True
    if handler.suppress and not _is_contextlib(handler.suppress, scope, effects):
        return False
    return any(
        isinstance(each, str) and _is_database_error(each, scope, effects) for each in handler.types
    )


def _is_contextlib(name: str, scope: Function, effects: Effects) -> bool:
    value = effects.evaluator.value(name, scope)
    return isinstance(value, External) and value.path == "contextlib.suppress"


def _is_database_error(dotted: str, scope: Function, effects: Effects) -> bool:
    name = dotted.rpartition(".")[2]
    value = effects.evaluator.value(dotted, scope)
    if isinstance(value, ClassValue):
        return False  # an exception of the project's own
    if name not in DATABASE_ERRORS:
        return name in ALL_ERRORS
    if name in AMBIGUOUS_ERRORS:
        return isinstance(value, External) and (
            value.path.partition(".")[0] in DATABASE_PACKAGES or "sqlalchemy" in value.path
        )
    return True
