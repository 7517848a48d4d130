"""``with suppress(…)``, which is an ``except`` with nothing in it."""

from __future__ import annotations

from .facts import Call, Expression, Handler, Statement, Try, With

__all__ = ["block"]

_NAMES = ("suppress", "contextlib.suppress")


def block(
    items: tuple[tuple[Expression, Expression], ...], body: tuple[Statement, ...], line: int
) -> Statement:
    """Return a ``with`` block; one of ``suppress(…)`` is a ``try`` whose handler does nothing."""
    for index, (manager, _) in enumerate(items):
        if isinstance(manager, Call) and manager.func in _NAMES and manager.args:
            handler = Handler(manager.args, (), manager.at, suppress=str(manager.func))
            inner = (block(items[index + 1 :], body, line),) if items[index + 1 :] else body
            guarded = Try(inner, (handler,), (), (), line)
            return With(items[:index], (guarded,), line) if index else guarded
    return With(items, body, line)
