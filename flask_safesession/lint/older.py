"""Puts newer syntax into an older spelling of the same number of lines; the only room that needs LibCST.

What is new since Python 3.10 says nothing about sessions: parameters of types, ``type`` statements, quotes inside
f-strings, template strings, and ``except A, B``.
"""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst

__all__ = ["rewritten"]


def rewritten(text: str) -> str | None:
    """Return *text* in the older spelling, None where LibCST cannot read it either."""
    try:
        module = cst.parse_module(text)
        return module.visit(_Older(module.code_for_node)).code
    except Exception:  # noqa: BLE001 - its native parser raises errors of its own on odd input
        return None


class _Older(cst.CSTTransformer):
    """Takes out what an older grammar does not know.

    Args:
        code_for_node: Gives the text of a node.
    """

    def __init__(self, code_for_node: Callable[[cst.CSTNode], str]) -> None:
        super().__init__()
        self.code_for_node = code_for_node

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Leave alone what is inside of what is replaced."""
        return type(node).__name__ not in {"TypeAlias", "FormattedString", "TemplatedString"}

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode | cst.RemovalSentinel:
        """Replace one node."""
        name = type(original_node).__name__
        if name == "TypeParameters":
            return cst.RemoveFromParent()
        if name == "TypeAlias":
            return cst.Pass()
        if name in {"FormattedString", "TemplatedString"}:
            return _plain(self.code_for_node(original_node))
        return (
            _parenthesized(updated_node)
            if isinstance(updated_node, cst.ExceptHandler)
            else updated_node
        )


def _plain(code: str) -> cst.SimpleString:
    """Return a string literal of as many lines."""
    lines = code.count("\n")
    return cst.SimpleString('""' if not lines else '"""' + "\n" * lines + '"""')


def _parenthesized(handler: cst.ExceptHandler) -> cst.ExceptHandler:
    if isinstance(handler.type, cst.Tuple) and not handler.type.lpar:
        pair = handler.type.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        return handler.with_changes(type=pair)
    return handler
