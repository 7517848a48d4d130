"""Columns of rows that a function has read and then sets: a write without any call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .facts import Assign, Attr, Call, Const, Expression, ExpressionStatement, Place, Statement
from .origins import last_name
from .surroundings import CHANGING_METHODS
from .symbols import Class, Function
from .values import Instance, Session
from .walk import calls_of, flat, statements_in

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["Written", "set_attributes"]

_GETS = frozenset({"get", "get_one", "get_or_404"})
_DETACHES = frozenset({"expunge", "expunge_all", "make_transient"})


@dataclass(frozen=True, slots=True)
class Written:
    """A write, with the session that has to store it."""

    session: Session
    at: Place
    text: str


def set_attributes(scope: Function, kind: str, analysis: Analysis) -> Iterator[Written]:
    """Return the columns that *scope* sets; a view that only answers may dress its rows for the page."""
    if kind == "route" and not _changes(scope):
        return
    if any(last_name(each.func) in _DETACHES for each in scope.calls):
        return
    for statement in statements_in(scope.facts.body):
        for row, name in _set_by(statement):
            session = _read_from(row, scope, analysis) if row is not None else None
            if session is not None and _is_column(row, name, scope, analysis):
                at = Place(statement.line, 0, statement.line, 0)
                what = f"'{name}'" if name else "a column"
                yield Written(session, at, f"{what} of a row of '{session.text}' is set")


def _set_by(statement: Statement) -> Iterator[tuple[Expression, str]]:
    """Return what may be a row, with the name that *statement* sets; it is empty for ``setattr(row, key, …)``."""
    targets = statement.targets if isinstance(statement, Assign) else ()
    for target in targets:
        yield from map(_split, flat(target))
    call = statement.value if isinstance(statement, ExpressionStatement) else None
    if isinstance(call, Call) and call.func == "setattr" and len(call.args) == 3:
        row, name, _ = call.args
        yield row, str(name.value) if isinstance(name, Const) else ""


def _changes(scope: Function) -> bool:
    """Whether the view answers other methods than GET."""
    words = {scope.name}
    for each in scope.facts.decorators:
        if isinstance(each, Call):
            words.add(last_name(each.func))
            methods = (value for key, value in each.keywords if key == "methods")
            found = (one for value in methods for one in flat(value) if isinstance(one, Const))
            words.update(str(one.value).lower() for one in found)
    return bool(words & CHANGING_METHODS)


def _split(target: Expression) -> tuple[Expression, str]:
    if isinstance(target, Attr):
        return target.value, target.name
    row, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    return row or None, name


def _read_from(row: Expression, scope: Function, analysis: Analysis) -> Session | None:
    """Return the session that every value of *row* was read from."""
    values = [each.value for each in scope.bindings.get(row, ())] if isinstance(row, str) else [row]
    found = [_reads(each, scope, analysis) for each in values]
    return found[0] if found and all(found) else None


def _reads(value: Expression, scope: Function, analysis: Analysis) -> Session | None:
    actions = (analysis.effects.action(each, scope) for each in calls_of(value))
    return next((each.session for each in actions if each.session is not None), None)


def _is_column(row: Expression, name: str, scope: Function, analysis: Analysis) -> bool:
    value = analysis.evaluator.value(row, scope)
    if not name and value is None:
        return _is_got(row, scope)
    if not isinstance(value, Instance) or value.call is not None:
        return False
    declared = (_declares(each, name) for each in analysis.project.ancestry(value.cls))
    return analysis.evaluator.is_model(value.cls) and (not name or any(declared))


def _is_got(row: Expression, scope: Function) -> bool:
    """Whether ``get()`` of a session gave the row; its model is in a file that was not read."""
    values = [each.value for each in scope.bindings.get(row, ())] if isinstance(row, str) else []
    return bool(values) and all(
        isinstance(each, Call) and last_name(each.func) in _GETS for each in values
    )


def _declares(cls: Class, name: str) -> bool:
    return any(
        each.annotation is not None or isinstance(each.value, Call)
        for each in cls.body_bindings.get(name, ())
    )
