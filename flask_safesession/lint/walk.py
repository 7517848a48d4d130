"""Walks over the small language of :mod:`.facts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .facts import (
    Assign,
    Attr,
    Await,
    Call,
    Expression,
    ExpressionStatement,
    For,
    Group,
    If,
    Raise,
    Return,
    Statement,
    Try,
    While,
    With,
    Yield,
)

__all__ = [
    "calls_in",
    "calls_of",
    "children",
    "expressions_of",
    "flat",
    "names_in",
    "statements_in",
]


_COMPOUND = frozenset({If, For, While, With, Try})


def children(statement: Statement) -> tuple[tuple[Statement, ...], ...]:
    """Return the bodies of a compound statement, none for a plain one."""
    kind = type(statement)
    if kind is If or kind is For or kind is While:
        return (statement.body, statement.orelse)  # type: ignore[union-attr]
    if kind is With:
        return (statement.body,)  # type: ignore[union-attr]
    if kind is Try:
        handlers = tuple(each.body for each in statement.handlers)  # type: ignore[union-attr]
        return (statement.body, *handlers, statement.orelse, statement.final)  # type: ignore[union-attr]
    return ()


def statements_in(body: Iterable[Statement]) -> list[Statement]:
    """Return every statement below *body*, outer ones first."""
    found: list[Statement] = []
    _gather_statements(body, found)
    return found


def _gather_statements(body: Iterable[Statement], found: list[Statement]) -> None:
    for statement in body:
        found.append(statement)
        if type(statement) in _COMPOUND:
            for inner in children(statement):
                _gather_statements(inner, found)


def expressions_of(statement: Statement) -> tuple[Expression, ...]:
    """Return the expressions that a statement itself evaluates, not those of its bodies."""
    kind = type(statement)
    if kind is Assign:
        value, targets = statement.value, statement.targets  # type: ignore[union-attr]
        if len(targets) == 1 and type(targets[0]) is str:
            return (value,)
        return (value, *[each for each in targets if type(each) is Attr])
    if kind is ExpressionStatement or kind is Return or kind is Raise:
        return (statement.value,)  # type: ignore[union-attr]
    if kind is If or kind is While:
        return (statement.test,)  # type: ignore[union-attr]
    if kind is For:
        return (statement.iterable,)  # type: ignore[union-attr]
    if kind is With:
        return tuple(each[0] for each in statement.items)  # type: ignore[union-attr]
    return ()


def calls_in(body: Iterable[Statement]) -> Iterator[Call]:
    """Return every call below *body*, in the order of evaluation."""
    for statement in body:
        for expression in expressions_of(statement):
            yield from calls_of(expression)
        for inner in children(statement):
            yield from calls_in(inner)


def calls_of(expression: Expression) -> Sequence[Call]:
    """Return every call within *expression*, inner ones first; a lambda's body is not part of it."""
    if expression is None or isinstance(expression, str):
        return ()
    found: list[Call] = []
    _gather_calls(expression, found)
    return found


def _gather_calls(expression: Expression, found: list[Call]) -> None:
    if expression is None or isinstance(expression, str):
        return
    if isinstance(expression, Call):
        _gather_calls(expression.func, found)
        for each in expression.args:
            _gather_calls(each, found)
        for _, each in expression.keywords:
            _gather_calls(each, found)
        found.append(expression)
    elif isinstance(expression, Group):
        for each in expression.items:
            _gather_calls(each, found)
    elif isinstance(expression, Attr | Await | Yield):
        _gather_calls(expression.value, found)


def flat(expression: Expression) -> Iterator[Expression]:
    """Return *expression* and what it is made of: members of tuples, choices, values of dicts."""
    yield expression
    if isinstance(expression, Group):
        for each in expression.items:
            yield from flat(each)
    elif isinstance(expression, Await):
        yield from flat(expression.value)


def names_in(expression: Expression, *, called: bool = True) -> Iterator[str]:
    """Return every name with attributes in *expression*, also those that are called unless *called* is false."""
    if isinstance(expression, str):
        yield expression
    elif isinstance(expression, Call):
        if called or not isinstance(expression.func, str):
            yield from names_in(expression.func, called=called)
        for each in (*expression.args, *[value for _, value in expression.keywords]):
            yield from names_in(each, called=called)
    elif isinstance(expression, Group):
        for each in expression.items:
            yield from names_in(each, called=called)
    elif isinstance(expression, Attr | Await | Yield):
        yield from names_in(expression.value, called=called)
