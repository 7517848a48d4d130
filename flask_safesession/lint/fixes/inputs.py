"""What a request brings, where reading it may raise: a key that is missing, a text that is no number."""

from __future__ import annotations

import libcst as cst

from ..analysis import Analysis
from ..facts import Raise
from ..origins import last_name
from ..symbols import Function
from ..walk import statements_in
from .bound import bindings
from .calling import last
from .files import File
from .trees import dotted, leaves_of, variables

__all__ = ["Inputs"]

_CONVERSIONS = frozenset(
    {
        "Decimal", "UUID", "b64decode", "complex", "date", "datetime", "float", "fromisoformat", "int", "loads",
        "strptime", "unhexlify",
    }
)  # fmt: skip
_BODY = frozenset({"json", "get_json"})
_WRONG = frozenset(
    {
        "BadRequest", "BadRequestKeyError", "BaseException", "Exception", "HTTPException", "KeyError", "LookupError",
        "TypeError", "ValueError",
    }
)  # fmt: skip
_DEEPEST = 3


class Inputs:
    """Knows what comes with the request of one view.

    Attributes:
        file: Where the view is.
        analysis: What the checker knows.
        names: The names that hold something of the request.
    """

    def __init__(
        self, file: File, analysis: Analysis, node: cst.FunctionDef, rows: set[str]
    ) -> None:
        self.file = file
        self.analysis = analysis
        pairs = [(name, variables(value)) for name, value in bindings(node) if name not in rows]
        self.names = {"request", *_parameters(node)} - rows
        for _ in range(4):
            self.names |= {name for name, used in pairs if used & self.names}

    def raising(self, statement: cst.CSTNode) -> cst.BaseExpression | None:
        """Return what in *statement* may raise for some requests, None where nothing does."""
        visitor = _Raising(self)
        statement.visit(visitor)
        return visitor.found

    def is_raising(self, node: cst.BaseExpression) -> bool:
        """Whether *node* itself may."""
        if isinstance(node, cst.Subscript):
            return bool(variables(node.value) & self.names)
        if isinstance(node, cst.Attribute):
            return dotted(node.value) == "request" and node.attr.value in _BODY
        return isinstance(node, cst.Call) and self._call(node)

    def _call(self, node: cst.Call) -> bool:
        if last(node.func) in _CONVERSIONS and any(
            variables(each.value) & self.names for each in node.args
        ):
            return True
        known = self.file.call(node)
        action = known and self.analysis.effects.action(known[1], known[0])
        return any(self._raises(each, _DEEPEST) for each in (action.callees if action else ()))

    def _raises(self, function: Function, depth: int) -> bool:
        """Whether a function of the project has a ``raise`` or ``abort()`` in it, or calls one that has."""
        if any(isinstance(each, Raise) for each in statements_in(function.facts.body)):
            return True
        effects = self.analysis.effects
        return depth > 0 and any(
            last_name(call.func) == "abort"
            or any(self._raises(each, depth - 1) for each in effects.action(call, function).callees)
            for call in function.calls
        )


def _parameters(node: cst.FunctionDef) -> set[str]:
    """Return what the route gives to the view."""
    given = (*node.params.posonly_params, *node.params.params, *node.params.kwonly_params)
    return {each.name.value for each in given} - {"self", "cls"}


def _catches(handler: cst.ExceptHandler) -> bool:
    """Whether it goes on after a request that is wrong."""
    if handler.type is None:
        return True
    return any(dotted(each).rpartition(".")[2] in _WRONG for each in leaves_of(handler.type))


class _Raising(cst.CSTVisitor):
    """Finds the first place that may raise."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.found: cst.BaseExpression | None = None

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Try) and any(map(_catches, node.handlers)):
            for each in node.handlers:
                each.body.visit(self)
            return False
        if isinstance(node, cst.Annotation | cst.Lambda | cst.FunctionDef | cst.ClassDef):
            return False
        if (
            self.found is None
            and isinstance(node, cst.Subscript | cst.Attribute | cst.Call)
            and self.inputs.is_raising(node)
        ):
            self.found = node
        return self.found is None
