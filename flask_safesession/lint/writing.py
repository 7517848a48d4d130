"""Which statements write, as they are given to ``execute()``."""

from __future__ import annotations

from .facts import Call, Const, Expression, Group
from .origins import last_name
from .symbols import Function
from .walk import calls_of

__all__ = ["is_write"]

_STATEMENTS = frozenset({"insert", "update", "delete"})
_SQL = frozenset({*_STATEMENTS, "merge", "replace", "truncate"})


def is_write(statement: Expression, scope: Function) -> bool:
    """Whether *statement*, or what its name was given in *scope*, changes rows."""
    values = [statement]
    if isinstance(statement, str):
        values = [each.value for each in scope.bindings.get(statement, ())]
    calls = (call for each in values for call in calls_of(each))
    return any(last_name(each.func) in _STATEMENTS or _is_written(each) for each in calls)


def _is_written(call: Call) -> bool:
    """Whether it is ``text("UPDATE …")`` or ``text(f"UPDATE …")``."""
    sql = call.args[0] if last_name(call.func) == "text" and call.args else None
    if isinstance(sql, Group) and sql.kind == "formatted":
        sql = sql.items[0]
    words = str(sql.value).split(None, 1) if isinstance(sql, Const) else []
    return bool(words) and words[0].lower() in _SQL
