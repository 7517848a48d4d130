"""Questions about single calls that need nothing but the call."""

from __future__ import annotations

import libcst as cst

from .quiet import is_quiet

__all__ = ["in_chain", "is_quiet_call", "last", "loads"]


def loads(node: cst.Call) -> bool:
    """Whether it is ``schema.load(data, session=…)`` of marshmallow-sqlalchemy, which only queries."""
    return last(node.func) in {"load", "validate"} and isinstance(node.func, cst.Attribute)


def in_chain(node: cst.Call, root: str) -> bool:
    """Whether it is called on what the session returned: ``db.query(User).filter(…)``."""
    inner: cst.CSTNode = node.func
    while isinstance(inner, cst.Attribute | cst.Call | cst.Subscript):
        inner = inner.func if isinstance(inner, cst.Call) else inner.value
    return isinstance(inner, cst.Name) and inner.value == root


def last(node: cst.BaseExpression) -> str:
    """Return the name behind the last dot; empty for what has none."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def is_quiet_call(node: cst.Call) -> bool:
    """Whether it is a call that neither waits nor tells anybody, by its name."""
    return is_quiet(last(node.func), plain=isinstance(node.func, cst.Name))
