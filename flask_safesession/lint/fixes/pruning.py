"""Takes statements out of a list and keeps what was said about them, in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

import libcst as cst

from .files import NotSure
from .trees import (
    Statement,
    called_on,
    comment_lines,
    dotted,
    expression_of,
    map_suites,
    mentions,
    only,
    real,
    said,
    statements,
)

__all__ = ["Role", "cleaned", "pruned", "raises_again", "without_endings"]

Role = Literal["drop", "flush"]
Fate = Callable[[Statement], Statement | None]
_ENDINGS = frozenset({"rollback", "close", "remove"})


def pruned(body: Sequence[Statement], fate: Fate) -> list[Statement]:
    """Return *body* with what *fate* makes of each statement, those in its suites included; None takes it out."""
    kept: list[Statement] = []
    for statement in body:
        new = fate(statement)
        if new is None:
            kept += said(comment_lines(statement))
            continue
        if new is statement and not isinstance(new, cst.FunctionDef | cst.ClassDef):
            new = map_suites(new, lambda inner: pruned(inner, fate))
        kept.append(new)
    return kept


def without_endings(
    body: Sequence[Statement], roles: Mapping[cst.CSTNode, Role]
) -> list[Statement]:
    """Return *body* without the commits, or with flushes in their place, as *roles* say."""

    def fate(statement: Statement) -> Statement | None:
        role = roles.get(statement)
        if role is None:
            return statement
        return _flushed(statement) if role == "flush" else None

    return pruned(body, fate)


def _flushed(statement: Statement) -> Statement:
    """Return ``db.flush()`` for ``db.commit()``."""
    call = cast("cst.Call", expression_of(statement))
    flush = call.with_changes(func=call.func.with_changes(attr=cst.Name("flush")))
    return statement.with_changes(body=[cst.Expr(flush)])


# --- handlers and 'finally'


def cleaned(body: Sequence[Statement], session: str) -> list[Statement]:
    """Return the statements of a handler or ``finally`` without what only ends the session.

    Raises:
        NotSure: If they do anything else with it.
    """
    kept = pruned(body, lambda each: _cleaned(each, session))
    for each in kept:
        if mentions(each, session):
            raise NotSure(
                body[0], f"'{session}' is used after the failure, not only rolled back and closed"
            )
    return kept


def _cleaned(statement: Statement, session: str) -> Statement | None:
    if called_on(statement, session) in _ENDINGS:
        return None
    if (
        isinstance(statement, cst.If)
        and statement.orelse is None
        and _is_guard(statement.test, session)
    ):
        return _emptied(statement, statement.body, session)
    if isinstance(statement, cst.Try) and statement.orelse is None and statement.finalbody is None:
        return _emptied(statement, statement.body, session)
    return statement


def _emptied(statement: Statement, suite: cst.BaseSuite, session: str) -> Statement | None:
    return statement if real(cleaned(statements(suite), session)) else None


def _is_guard(test: cst.BaseExpression, session: str) -> bool:
    if isinstance(test, cst.Comparison):
        test = test.left
    return dotted(test) in {session, f"{session}.is_active"}


def raises_again(handler: cst.ExceptHandler, session: str) -> bool:
    """Whether a handler only rolls back or closes, and raises what it caught."""
    left = real(cleaned(statements(handler.body), session))
    small = only(left[0]) if len(left) == 1 else None
    if not isinstance(small, cst.Raise) or small.cause is not None:
        return False
    name = "" if handler.name is None else dotted(handler.name.name)
    return small.exc is None or (name != "" and dotted(small.exc) == name)
