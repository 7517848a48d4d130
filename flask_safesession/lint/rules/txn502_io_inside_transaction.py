"""TXN502: waiting for the network, a process or the clock between the first statement and the commit."""

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
    """Return the calls that wait while a transaction is open."""
    for scope in analysis.functions:
        flow = analysis.transactions(scope)
        if flow is not None:
            for each in flow.waits.values():
                yield _finding(each, scope)


def _finding(each: Inside, scope: Function) -> Finding:
    name = text_of(each.call.func)
    message = (
        f"'{name}()' waits while the transaction of '{each.session.text}' is open since line {each.opened.line}: "
        f"its connection and its locks are held all the time."
    )
    steps = each.steps(scope.path, f"'{name}()' waits")
    call = "Commit before it, or split the work with 'run_in_phases(prepare, execute, record)'."
    return finding(RULE.id, "warning", scope, each.call.at, message, call, steps)


RULE = Rule(
    "TXN502",
    "io-inside-transaction",
    ("warning",),
    "HTTP, sleep, subprocess, mail or cloud calls between the first statement and the commit",
    find,
)
