"""TXN402: one session in several coroutines that run at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Await, Call, Expression, For, Group, Statement, While
from ..findings import Finding, Step
from ..origins import last_name
from ..symbols import Function
from ..values import External, Session
from ..walk import calls_of, children, expressions_of
from .base import Rule

__all__ = ["RULE"]

_GATHERS = frozenset({"asyncio.gather", "asyncio.wait", "asyncio.as_completed"})
_SPAWNS = frozenset({"create_task", "ensure_future", "start_soon", "spawn"})


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the places that start such coroutines."""
    for scope in analysis.functions:
        names = {last_name(each.func) for each in scope.calls}
        if names & {"gather", "wait", "as_completed"}:
            yield from _gathered(scope, analysis)
        if names & _SPAWNS:
            yield from _spawned(scope, analysis)


# --- gather


def _gathered(scope: Function, analysis: Analysis) -> Iterator[Finding]:
    for call in scope.calls:
        value = analysis.evaluator.value(call.func, scope)
        if isinstance(value, External) and value.path in _GATHERS:
            shared = _shared(call, scope, analysis)
            if shared is not None:
                yield _finding(call, shared, scope)


def _shared(call: Call, scope: Function, analysis: Analysis) -> Session | None:
    seen: dict[str, Session] = {}
    for coroutine, many in _coroutines(call.args, scope):
        for session in _sessions(coroutine, scope, analysis):
            if many or session.key in seen:
                return session
            seen[session.key] = session
    return None


def _coroutines(arguments: Iterable[Expression], scope: Function) -> Iterator[tuple[Call, bool]]:
    """Return the coroutines that are gathered, and whether there are many of each."""
    for argument in arguments:
        if isinstance(argument, Call):
            yield from _unspawned(argument, many=False)
        elif isinstance(argument, str):
            for binding in scope.bindings.get(argument, ()):
                yield from (
                    _coroutines((binding.value,), scope)
                    if not isinstance(binding.value, str)
                    else ()
                )
            yield from _appended(argument, scope)
        elif isinstance(argument, Group) and argument.kind == "comp":
            if isinstance(argument.items[0], Call):
                yield from _unspawned(argument.items[0], many=True)
        elif isinstance(argument, Group):
            yield from _coroutines(argument.items, scope)


def _unspawned(call: Call, *, many: bool) -> Iterator[tuple[Call, bool]]:
    if last_name(call.func) in _SPAWNS and call.args and isinstance(call.args[0], Call):
        call = call.args[0]
    yield call, many


def _appended(name: str, scope: Function) -> Iterator[tuple[Call, bool]]:
    for call in scope.calls:
        if call.func == f"{name}.append" and call.args and isinstance(call.args[0], Call):
            yield from _unspawned(call.args[0], many=True)


def _sessions(coroutine: Call, scope: Function, analysis: Analysis) -> Iterator[Session]:
    """Return the sessions that a coroutine gets or reaches, without those that it makes for itself."""
    found: dict[str, Session] = {}
    for argument in (*coroutine.args, *[value for _, value in coroutine.keywords]):
        inner = argument.value if isinstance(argument, Await) else argument
        session = analysis.evaluator.session(inner, scope)
        if session is not None and not isinstance(inner, Call):
            found[session.key] = session
    for session, effect in analysis.effects.on(coroutine, scope):
        if effect & Effect.WORK and session.origin != "scope":
            found[session.key] = session
    yield from found.values()


# --- create_task


def _spawned(scope: Function, analysis: Analysis) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for call, loop in _spawns(scope.facts.body, None):
        coroutine = _spawned_coroutine(call)
        if coroutine is None or _is_gathered(call, scope):
            continue
        for session in _sessions(coroutine, scope, analysis):
            again = session.key in seen
            if again or (loop is not None and not _made_in(session, loop)):
                yield _finding(call, session, scope)
                break
            seen[session.key] = call.at.line


def _spawns(
    body: Iterable[Statement], loop: Statement | None
) -> Iterator[tuple[Call, Statement | None]]:
    for statement in body:
        for expression in expressions_of(statement):
            for call in calls_of(expression):
                if last_name(call.func) in _SPAWNS:
                    yield call, statement if _in_comprehension(expression, call) else loop
        inner = statement if isinstance(statement, For | While) else loop
        for block in children(statement):
            yield from _spawns(block, inner)


def _in_comprehension(expression: Expression, call: Call) -> bool:
    if isinstance(expression, Group):
        if expression.kind == "comp":
            return any(each is call for each in calls_of(expression.items[0]))
        return any(_in_comprehension(each, call) for each in expression.items)
    if isinstance(expression, Call):
        return any(_in_comprehension(each, call) for each in expression.args)
    return isinstance(expression, Await) and _in_comprehension(expression.value, call)


def _spawned_coroutine(call: Call) -> Call | None:
    if last_name(call.func) in {"start_soon", "spawn"} and call.args:
        return Call(call.args[0], call.args[1:], call.keywords, call.at)
    return call.args[0] if call.args and isinstance(call.args[0], Call) else None


def _is_gathered(call: Call, scope: Function) -> bool:
    """Whether the task is one of those that ``gather`` gets, which is spoken of there."""
    for each in scope.calls:
        if last_name(each.func) in {"gather", "wait", "as_completed"} and any(
            one is call for one in calls_of(each)
        ):
            return True
    return False


def _made_in(session: Session, loop: Statement) -> bool:
    return bool(session.line) and session.line >= loop.line and session.origin in {"made", "scope"}


def _finding(call: Call, session: Session, scope: Function) -> Finding:
    name = text_of(call.func)
    message = (
        f"'{name}()' runs several coroutines on the one session '{session.text}': their statements get into each "
        f"other's transaction, and an async session refuses them."
    )
    step = Step(scope.path, call.at.line, f"'{name}()' starts them with '{session.text}'")
    text = "Open a session in each coroutine: 'async with session_manager() as session:'."
    return finding(RULE.id, "error", scope, call.at, message, text, (step,))


RULE = Rule(
    "TXN402",
    "session-shared-by-tasks",
    ("error",),
    "one session in several coroutines of 'gather', 'create_task' or a 'TaskGroup'",
    find,
)
