"""Where a session goes after it was made: to the caller, into an object or a collection, or nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .effects import Effect, text_of
from .facts import (
    Assign,
    Attr,
    Await,
    Call,
    Expression,
    For,
    FunctionFacts,
    Group,
    Return,
    With,
    Yield,
)
from .origins import argument_for, last_name
from .symbols import Function
from .values import ClassValue, Instance
from .vocabulary import QUERY_ENDS, READS
from .walk import calls_in, calls_of, expressions_of, flat, statements_in

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["escapes", "given_away", "is_context_manager", "is_inline", "is_kept"]

_GROWING = frozenset(
    {
        "append",
        "add",
        "put",
        "push",
        "insert",
        "setdefault",
        "enter_context",
        "enter_async_context",
        "callback",
        "closing",
        "aclosing",
    }
)
_NO_USES = frozenset({"close", "remove", "aclose", "configure"})
_LAZY = frozenset({"query", "connection", "stream", "stream_scalars"})


def is_context_manager(call: Call, scope: Function) -> bool:
    """Whether a ``with`` block enters what *call* makes."""
    for statement in statements_in(scope.facts.body):
        if isinstance(statement, With):
            for item, _ in statement.items:
                if any(each is call for each in calls_of(item)) and (
                    item is call or _wraps(item, call)
                ):
                    return True
    return False


def _wraps(item: Expression, call: Call) -> bool:
    """Whether *item* is ``closing(call)``, ``call.begin()`` or ``await call``, which end the session."""
    if isinstance(item, Await):
        return item.value is call or _wraps(item.value, call)
    if isinstance(item, Call):
        inside = any(each is call for each in item.args)
        return inside or (isinstance(item.func, Attr) and item.func.value is call)
    return isinstance(item, Group) and any(each is call for each in item.items)


def given_away(call: Call, scope: Function) -> bool:
    """Whether the call's result goes to the caller at once, or into an attribute, a collection or a default."""
    for statement in statements_in(scope.facts.body):
        for expression in expressions_of(statement):
            if isinstance(statement, Return) or isinstance(expression, Yield):
                inner = expression.value if isinstance(expression, Yield) else expression
                if any(each is call for each in flat(inner)):
                    return True
            if any(
                last_name(each.func) in _GROWING and any(one is call for one in each.args)
                for each in calls_of(expression)
            ):
                return True
    return False


def is_inline(call: Call, scope: Function, analysis: Analysis) -> bool:
    """Whether the session has no name and is only used, or given to a function that does not close it."""
    for statement in statements_in(scope.facts.body):
        for expression in expressions_of(statement):
            for each in calls_of(expression):
                if isinstance(each.func, Attr) and each.func.value is call:
                    lazy = isinstance(statement, Return) and not _is_read(call, expression)
                    return not lazy and each.func.name not in _NO_USES
                arguments = [*each.args, *[value for _, value in each.keywords]]
                if any(argument is call for argument in arguments):
                    return _only_used(each, call, scope, analysis)
    return False


def _is_read(call: Call, returned: Expression) -> bool:
    """Whether the session has done its work when the function returns, rather than leave a query to the caller."""
    chain = [last_name(each.func) for each in calls_of(returned) if _follows(each, call)]
    return chain[0] in READS - _LAZY or not QUERY_ENDS.isdisjoint(chain)


def _follows(later: Call, call: Call) -> bool:
    """Whether *later* is made on what *call* gave, directly or further down the chain."""
    at = later.func
    while isinstance(at, Attr | Call):
        if at is call:
            return True
        at = at.value if isinstance(at, Attr) else at.func
    return False


def _only_used(outer: Call, call: Call, scope: Function, analysis: Analysis) -> bool:
    action = analysis.effects.action(outer, scope)
    if not action.callees or isinstance(analysis.evaluator.value(outer.func, scope), ClassValue):
        return False
    for callee in action.callees:
        if callee.facts.is_generator or callee.facts.decorators:
            return False
        for name in callee.parameters:
            if argument_for(outer, callee, name, bound=False) is call:
                return not _ends_or_keeps(name, callee, analysis)
    return False


def _ends_or_keeps(name: str, callee: Function, analysis: Analysis) -> bool:
    session = analysis.evaluator.session(name, callee)
    if session is None:
        return True
    effect = analysis.effects.summary(callee).effects.get(session.key, Effect.NONE)
    return bool(effect & Effect.CLOSE) or escapes(name, callee, analysis)


def escapes(name: str, scope: Function, analysis: Analysis) -> bool:
    """Whether the session is returned, yielded by a helper, stored, or used by a function inside."""
    if any(name in each.uses or _mentions(name, each.facts) for each in scope.nested):
        return True
    for statement in statements_in(scope.facts.body):
        if isinstance(statement, Return) and any(each == name for each in flat(statement.value)):
            return True
    return _is_closed_one_by_one(name, scope) or _is_stored(name, scope, analysis)


def _is_closed_one_by_one(name: str, scope: Function) -> bool:
    """Whether it is a collection of sessions, which a loop or comprehension closes, or one by its place."""
    for statement in statements_in(scope.facts.body):
        if isinstance(statement, For) and _loop_closes(statement, name):
            return True
        for expression in expressions_of(statement):
            if any(_closes_in(call, name) for call in calls_of(expression)):
                return True
            for target, iterable in _loops_in(expression):
                if _goes_over(iterable, name) and _closes_one(calls_of(expression), target):
                    return True
    return False


def _loop_closes(loop: For, name: str) -> bool:
    return _goes_over(loop.iterable, name) and _closes_one(calls_in(loop.body), loop.target)


def _goes_over(iterable: Expression, name: str) -> bool:
    """Whether a loop goes over the collection: ``name``, ``name.values()``, ``reversed(name)``."""
    if isinstance(iterable, Call):
        owner, _, method = text_of(iterable.func).rpartition(".")
        return name in iterable.args or (owner == name and method in {"items", "values"})
    return iterable == name


def _closes_one(calls: Iterable[Call], target: Expression) -> bool:
    names = {f"{each}.close" for each in _strings(target)}
    return any(text_of(call.func) in names for call in calls)


def _closes_in(call: Call, name: str) -> bool:
    """Whether it is ``name[0].close()`` or ``name.pop().close()``."""
    if not isinstance(call.func, Attr) or call.func.name != "close":
        return False
    owner = call.func.value
    if isinstance(owner, Call):
        return text_of(owner.func) in {f"{name}.pop", f"{name}.popitem", f"{name}.get"}
    return isinstance(owner, Group) and owner.kind == "item" and owner.items[0] == name


def _loops_in(expression: Expression) -> Iterator[tuple[Expression, Expression]]:
    """Return each target with what it goes over, of the comprehensions of an expression and its arguments."""
    for part in (*flat(expression), *[one for call in calls_of(expression) for one in call.args]):
        for each in flat(part):
            if isinstance(each, Group) and each.kind == "in":
                yield each.items[0], each.items[1]


def is_kept(call: Call, scope: Function, analysis: Analysis) -> bool:
    """Whether the function that makes the session keeps it for its next caller, and so has to end it."""
    for callee in analysis.effects.action(call, scope).callees:
        for statement in statements_in(callee.facts.body):
            name = statement.value if isinstance(statement, Return) else None
            if isinstance(name, str) and ("." in name or _is_stored(name, callee, analysis)):
                return True
    return False


def _is_stored(name: str, scope: Function, analysis: Analysis) -> bool:
    for statement in statements_in(scope.facts.body):
        if isinstance(statement, Assign) and _stores(statement, name):
            return True
        for expression in expressions_of(statement):
            if any(_keeps(each, name, scope, analysis) for each in calls_of(expression)):
                return True
    return False


def _strings(expression: Expression) -> Iterator[str]:
    for each in flat(expression):
        if isinstance(each, str):
            yield each


def _mentions(name: str, facts: FunctionFacts) -> bool:
    for statement in statements_in(facts.body):
        for expression in expressions_of(statement):
            for each in calls_of(expression):
                if any(one == name for one in [*each.args, *[value for _, value in each.keywords]]):
                    return True
            if any(each == name for each in flat(expression)):
                return True
    return any(_mentions(name, each) for each in facts.nested)


def _stores(statement: Assign, name: str) -> bool:
    if not any(each == name for each in flat(statement.value)):
        return False
    if isinstance(statement.value, Group) and statement.value.kind == "dict":
        return True  # a namespace, whose readers are not followed
    return any(not isinstance(each, str) or "." in each for each in statement.targets)


def _keeps(call: Call, name: str, scope: Function, analysis: Analysis) -> bool:
    """Whether *call* puts the session into a collection or into an object that closes it, or promises its end."""
    arguments = [*call.args, *[value for _, value in call.keywords]]
    if f"{name}.close" in arguments:
        return True
    if not any(name in set(_strings(each)) for each in arguments):
        return False
    method = last_name(call.func)
    if method in _GROWING or method in {"setattr", "set"}:
        return not _is_session_method(call, scope, analysis)
    value = analysis.evaluator.value(call.func, scope)
    if isinstance(value, ClassValue):
        made = Instance(value.cls)
        return any(
            analysis.project.method(made.cls, each) is not None
            for each in ("close", "__exit__", "__aexit__", "__del__", "shutdown")
        )
    return False


def _is_session_method(call: Call, scope: Function, analysis: Analysis) -> bool:
    return analysis.effects.action(call, scope).session is not None
