"""TXN302: a session instance that lives as long as the process."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import Effect, text_of
from ..facts import Assign, Await, Call, Expression, Group, If, Return, Statement
from ..findings import Finding, Step
from ..symbols import Function
from ..values import Registry, Session
from ..walk import children, flat, statements_in
from .base import Rule

__all__ = ["RULE"]

_CACHES = frozenset({"cache", "lru_cache", "cached", "memoize", "memoized", "singleton"})


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the sessions that are made once for all."""
    for module in analysis.project.modules:
        yield from _module_level(module.body, analysis)
        for cls in {id(each): each for each in module.classes.values()}.values():
            yield from _assigned(cls.facts.body, module.body, f"class '{cls.name}'", analysis)
    for function in analysis.functions:
        yield from _globals(function, analysis)
        yield from _defaults(function, analysis)
        yield from _cached(function, analysis)


def _module_level(body: Function, analysis: Analysis) -> Iterator[Finding]:
    for each in _assigned(_without_main(body.facts.body), body, "the module", analysis):
        if not _closed_again(each, body, analysis):
            yield each


def _without_main(body: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in body:
        if (
            isinstance(statement, If)
            and isinstance(statement.test, Group)
            and "__name__" in statement.test.items
        ):
            continue
        yield statement


def _assigned(
    body: Iterator[Statement] | tuple[Statement, ...],
    scope: Function,
    where: str,
    analysis: Analysis,
) -> Iterator[Finding]:
    for statement in body:
        if isinstance(statement, Assign):
            for call in _instances(statement.value, scope, analysis):
                name = next((each for each in statement.targets if isinstance(each, str)), "")
                yield _finding(call, name or text_of(call), where, scope)
        for block in children(statement):
            yield from _assigned(block, scope, where, analysis)


def _instances(value: Expression, scope: Function, analysis: Analysis) -> Iterator[Call]:
    """Return the calls in *value* that make a session, or take the thread's own out of its registry."""
    for each in flat(value):
        inner = each.value if isinstance(each, Await) else each
        if not isinstance(inner, Call):
            continue
        made = analysis.evaluator.called(inner, scope)
        from_registry = isinstance(analysis.evaluator.value(inner.func, scope), Registry)
        if isinstance(made, Session) and (made.origin == "made" or from_registry):
            yield inner


def _closed_again(each: Finding, body: Function, analysis: Analysis) -> bool:
    """Whether the module is a script that closes the session itself."""
    for call in body.calls:
        action = analysis.effects.action(call, body)
        if action.session is not None and action.effect & Effect.CLOSE and call.at.line > each.line:
            return True
    return False


def _globals(function: Function, analysis: Analysis) -> Iterator[Finding]:
    module = function.module
    for statement in statements_in(function.facts.body):
        if not isinstance(statement, Assign):
            continue
        for target in statement.targets:
            name = (
                target.items[0] if isinstance(target, Group) and target.kind == "item" else target
            )
            if isinstance(name, str) and _is_global(name, target, function):
                for call in _instances(statement.value, function, analysis):
                    yield _finding(call, name, f"the module '{module.name}'", function)


def _is_global(name: str, target: Expression, function: Function) -> bool:
    if name in function.facts.outer_names:
        return (
            name in function.module.body.bindings
            or function.outer is function.module.body
            or function.outer is None
        )
    in_collection = isinstance(target, Group)
    return in_collection and name in function.module.body.bindings and not function.local(name)


def _defaults(function: Function, analysis: Analysis) -> Iterator[Finding]:
    for parameter in function.facts.parameters:
        for call in _instances(parameter.default, function.outer or function.module.body, analysis):
            yield _finding(
                call, parameter.name, f"the default of a parameter of '{function.name}'", function
            )


def _cached(function: Function, analysis: Analysis) -> Iterator[Finding]:
    if not function.binding_names & _CACHES:
        return
    for statement in statements_in(function.facts.body):
        if isinstance(statement, Return):
            session = analysis.evaluator.session(statement.value, function)
            call = (
                statement.value if isinstance(statement.value, Call) else _maker(session, function)
            )
            if session is not None and session.origin == "made" and call is not None:
                yield _finding(call, text_of(call), f"the cache of '{function.name}'", function)


def _maker(session: Session | None, function: Function) -> Call | None:
    if session is None:
        return None
    return next((each for each in function.calls if each.at.line == session.line), None)


def _finding(call: Call, name: str, where: str, scope: Function) -> Finding:
    made = text_of(call)
    message = (
        f"'{name}' is a session from '{made}' that {where} keeps: every request and every thread of the process "
        f"shares its connection and its transaction."
    )
    text = "Keep the factory ('sessionmaker' or 'scoped_session') there, and open a session for each unit of work."
    step = Step(scope.path, call.at.line, f"'{made}' makes the session")
    return finding(RULE.id, "error", scope, call.at, message, text, (step,))


RULE = Rule(
    "TXN302",
    "global-session",
    ("error",),
    "a session instance at module or class level, in a default argument or a cache",
    find,
)
