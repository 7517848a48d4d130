"""The HTTP status of what a view returns or raises, as far as it can be read from the code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import libcst as cst

from ..analysis import Analysis
from ..symbols import Function
from ..values import External
from .bound import bindings
from .trees import dotted, expression_of, only

__all__ = ["ERROR", "Answers"]

ERROR = 400
_OK = 200
_FOUND = 302
_PLAIN = frozenset(
    {
        "flask.jsonify",
        "flask.json.jsonify",
        "flask.render_template",
        "flask.render_template_string",
        "flask.send_file",
        "flask.send_from_directory",
        "flask.url_for",
    }
)
_REDIRECTS = frozenset({"flask.redirect", "werkzeug.utils.redirect"})
_ABORTS = frozenset(
    {
        "flask.abort",
        "flask_restful.abort",
        "flask_restx.abort",
        "flask_smorest.abort",
        "werkzeug.exceptions.abort",
    }
)
_BUILTINS = frozenset({"dict", "list", "repr", "sorted", "str"})
_METHODS = frozenset(
    {"as_dict", "dump", "dumps", "isoformat", "model_dump", "serialize", "to_dict", "to_json"}
)
_STATUS_NAME = re.compile(r"HTTP_(\d{3})_")
_LITERALS = (
    cst.BaseString,
    cst.BaseDict,
    cst.BaseList,
    cst.BaseNumber,
    cst.BinaryOperation,
)


@dataclass
class Answers:
    """Reads the answers of one view.

    Attributes:
        node: The view.
        function: What the checker knows of it.
        analysis: What it knows of the project.
    """

    node: cst.FunctionDef
    function: Function
    analysis: Analysis
    _busy: set[str] = field(default_factory=set)

    # --- statements

    def leaves(self, statement: cst.CSTNode) -> bool:
        """Whether *statement* ends the view: ``return``, ``raise`` or ``abort(…)``."""
        return isinstance(only(statement), cst.Return | cst.Raise) or self._is_abort(statement)

    def of_statement(self, statement: cst.CSTNode) -> int | None:
        """Return the status with which a statement that leaves the view answers, None if it is not seen."""
        small = only(statement)
        if isinstance(small, cst.Raise):
            return int(HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(small, cst.Return):
            return self.of(small.value)
        call = expression_of(statement)
        given = call.args if isinstance(call, cst.Call) else ()
        return self._aborted(given[0].value) if given else None

    def is_error(self, statement: cst.CSTNode) -> bool:
        """Whether *statement* leaves the view in a way that rolls a ``@transactional`` one back."""
        status = self.of_statement(statement) if self.leaves(statement) else None
        return status is not None and status >= ERROR

    def _is_abort(self, statement: cst.CSTNode) -> bool:
        call = expression_of(statement)
        return isinstance(call, cst.Call) and self._path(call.func) in _ABORTS

    def _aborted(self, value: cst.BaseExpression) -> int | None:
        """``abort()`` takes a response as well, of any status; a name is taken for a status."""
        if isinstance(value, cst.Name):
            return ERROR
        return self._number(value)

    # --- values

    def of(self, value: cst.BaseExpression | None) -> int | None:
        """Return the status of a returned value, None if it is not seen."""
        if value is None or isinstance(value, _LITERALS) or dotted(value) == "None":
            return _OK
        if isinstance(value, cst.Tuple):
            return self._parts([each.value for each in value.elements])
        if isinstance(value, cst.IfExp):
            return _worst([self.of(value.body), self.of(value.orelse)])
        if isinstance(value, cst.Name):
            return self._named(value.value)
        return self._call(value) if isinstance(value, cst.Call) else None

    def _parts(self, parts: Sequence[cst.BaseExpression]) -> int | None:
        """Of ``body, status, headers`` and its shorter forms."""
        if len(parts) < 2 or isinstance(parts[1], cst.Dict | cst.List | cst.Tuple):
            return self.of(parts[0]) if parts else _OK
        return self._number(parts[1])

    @staticmethod
    def _number(value: cst.BaseExpression) -> int | None:
        if isinstance(value, cst.Integer):
            return value.evaluated_value
        last = dotted(value).rpartition(".")[2]
        known = _STATUS_NAME.match(last)
        if known:
            return int(known[1])
        return int(HTTPStatus[last]) if last in HTTPStatus.__members__ else None

    def _named(self, name: str) -> int | None:
        """Of a name that only ever holds answers whose status is seen."""
        if name in self.function.parameters or name in self._busy or self._has_status(name):
            return None
        values = [value for bound, value in bindings(self.node) if bound == name]
        self._busy.add(name)
        found = [self.of(each) if isinstance(each, cst.BaseExpression) else None for each in values]
        self._busy.discard(name)
        return _worst(found) if found else None

    def _has_status(self, name: str) -> bool:
        """Whether the code changes the status of what *name* holds."""
        visitor = _Status(name)
        self.node.visit(visitor)
        return visitor.found

    def _call(self, call: cst.Call) -> int | None:
        path = self._path(call.func)
        values = [each.value for each in call.args if each.keyword is None]
        if path == "flask.make_response":
            return self._parts(values) if len(values) != 1 else self.of(values[0])
        if path in _REDIRECTS:
            return _FOUND if len(call.args) == 1 else None
        method = isinstance(call.func, cst.Attribute) and call.func.attr.value in _METHODS
        return _OK if path in _PLAIN or method or dotted(call.func) in _BUILTINS else None

    def _path(self, func: cst.BaseExpression) -> str:
        name = dotted(func)
        value = self.analysis.evaluator.named(name, self.function) if name else None
        return value.path if isinstance(value, External) else ""


def _worst(found: Sequence[int | None]) -> int | None:
    """Return the highest status, None if one is not seen or there are none."""
    seen = [each for each in found if each is not None]
    return max(seen) if seen and len(seen) == len(found) else None


class _Status(cst.CSTVisitor):
    def __init__(self, name: str) -> None:
        self.name = name
        self.found = False

    def visit_Attribute(self, node: cst.Attribute) -> None:
        self.found |= dotted(node.value) == self.name and node.attr.value.startswith("status")
