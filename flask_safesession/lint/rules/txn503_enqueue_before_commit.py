"""TXN503: work is handed to a queue before the rows that it needs are committed."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis import Analysis, finding
from ..effects import text_of
from ..findings import Finding
from ..opened import Inside
from ..symbols import Function
from .base import Rule

__all__ = ["RULE"]


def find(analysis: Analysis) -> Iterator[Finding]:
    """Return the calls that enqueue too early."""
    for scope in analysis.functions:
        flow = analysis.transactions(scope)
        if flow is not None:
            for each in flow.queues.values():
                yield _finding(each, scope)


def _finding(each: Inside, scope: Function) -> Finding:
    name = text_of(each.call.func)
    message = (
        f"'{name}()' hands work to a queue inside the transaction of '{each.session.text}' "
        f"(line {each.opened.line}): a worker may start before the commit, or run although it never comes."
    )
    steps = each.steps(scope.path, f"'{name}()' hands the work over")
    call = "Register it with 'on_commit(…)' or 'delay_on_commit(…)', or commit first."
    return finding(RULE.id, "warning", scope, each.call.at, message, call, steps)


RULE = Rule(
    "TXN503",
    "enqueue-before-commit",
    ("warning",),
    "'delay', 'apply_async', 'enqueue' or 'send' inside a transaction, before its commit",
    find,
)
