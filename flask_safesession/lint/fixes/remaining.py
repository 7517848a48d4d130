"""What the codemods have no word about: it is still there when they are done, and gets a line with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import libcst as cst

from ..effects import Effect, text_of
from ..escape import is_context_manager
from ..facts import Call
from ..findings import Finding
from ..symbols import Function
from .changes import Left
from .files import Files, NotSure
from .mentions import Mentions
from .sources import Unfit
from .surroundings import makers
from .trees import dotted

__all__ = ["HANDLED", "remaining"]

HANDLED = frozenset({"TXN102", "TXN301", "TXN302", "TXN403", "TXN503"})
"""The rules whose findings the codemods mend, or leave alone with a word."""

_MADE = "TXN301"
_NO_SCOPE = "no scope of the app is around it, after whose commit it could be sent"
_NO_COUNTERPART = (
    "a job of this kind has no counterpart: put '@AppContextManager(app)' on its target"
)
_AT_IMPORT = "the session lives as long as the module, and no function opens and closes it"
_NOT_FOLLOWED = "the statements around it are of a kind that is not followed"


@dataclass(frozen=True)
class _Candidate:
    """A place that a codemod is for.

    Attributes:
        function: The qualified name of the function around it, empty at the top of a module.
        rule: The rule of its codemod, empty where any may speak of it.
    """

    path: str
    line: int
    function: str
    rule: str
    reason: str

    def is_named(self, left: Iterable[Left]) -> bool:
        """Whether one of *left*, all of one file, says why it is still there."""
        return any(
            each.line == self.line or each.about == "*" or self._is_about(each) for each in left
        )

    def _is_about(self, left: Left) -> bool:
        about = left.about != "" and left.about == self.function
        return about and (left.rule in {"", self.rule} or not self.rule)


def remaining(files: Files, found: Iterable[Finding], left: Iterable[Left]) -> Iterator[Left]:
    """Return a line for each place that the codemods are for and that neither changed nor is named.

    Args:
        files: The project as it is now.
        found: What the checker finds in it, at every level.
        left: What is named already.
    """
    named: dict[str, list[Left]] = {}
    for each in left:
        named.setdefault(each.path, []).append(each)
    for candidate in (*_made(files), *_committed(files), *_found(files, found)):
        own = named.setdefault(candidate.path, [])
        if not candidate.is_named(own):
            own.append(Left(candidate.path, candidate.line, candidate.reason))
            yield own[-1]


# --- sessions


def _made(files: Files) -> Iterator[_Candidate]:
    for scope, call in makers(files.analysis):
        if not is_context_manager(call, scope):
            reason = f"'{text_of(call)}': {_why_made(files, scope, call)}"
            yield _candidate(scope, call, _MADE, reason)


def _why_made(files: Files, scope: Function, call: Call) -> str:
    try:
        file = files.file(scope.path)
    except Unfit as error:
        return str(error)
    way = _Way(file.call_at(call))
    file.tree.visit(way)
    return _at_import(scope, way.found) or way.reason()


def _at_import(scope: Function, way: list[cst.CSTNode]) -> str:
    if scope.name == "<module>" and not any(isinstance(each, cst.Lambda) for each in way):
        return _AT_IMPORT
    return ""


class _Way(cst.CSTVisitor):
    """Finds the nodes around a call, the outermost first."""

    def __init__(self, call: cst.Call) -> None:
        self.call = call
        self.found: list[cst.CSTNode] = []
        self._open: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if node is self.call:
            self.found = list(self._open)
        self._open.append(node)
        return not self.found

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._open.pop()

    def reason(self) -> str:
        """Return why no block can be made of what the call makes."""
        return next(filter(None, map(_around, reversed(self.found))), _NOT_FOLLOWED)


def _around(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Attribute):
        return "the session has no name, and its work no block"
    if isinstance(node, cst.Arg):
        return "the session is handed on where it is made"
    if isinstance(node, cst.Return | cst.Yield):
        return "it goes to the caller, who decides how long the session lives"
    if isinstance(node, cst.Lambda):
        return "a lambda makes it, and holds no block"
    if isinstance(node, cst.IfExp | cst.BooleanOperation | cst.NamedExpr | cst.BaseComp):
        return "it is made inside of a longer expression"
    if isinstance(node, cst.Assign | cst.AnnAssign):
        return _kept(node)
    behind = isinstance(node, cst.SimpleStatementLine) and len(node.body) > 1
    if behind or isinstance(node, cst.SimpleStatementSuite):
        return "its block stands on one line"
    return _NOT_FOLLOWED if isinstance(node, cst.BaseCompoundStatement) else ""


def _kept(node: cst.Assign | cst.AnnAssign) -> str:
    targets = (
        [each.target for each in node.targets] if isinstance(node, cst.Assign) else [node.target]
    )
    for each in targets:
        if isinstance(each, cst.Attribute | cst.Subscript):
            name = dotted(each) or dotted(each.value)
            return f"the session is kept in '{name}', which may outlive the function"
    return "it is assigned together with others" if len(targets) > 1 else ""


# --- commits


def _committed(files: Files) -> Iterator[_Candidate]:
    """Return the commits of views and services on a session that is not their own."""
    mentions = Mentions(files.analysis)
    for scope in files.analysis.functions:
        for call in scope.calls:
            action = files.analysis.effects.action(call, scope)
            session = action.session
            if action.effect is Effect.COMMIT and session and session.origin in _NOT_OWN:
                reason = _why_committed(files, scope, mentions)
                if reason:
                    text = f"'{scope.name}': {reason}"
                    yield _candidate(scope, call, "", text)


_NOT_OWN = frozenset({"managed", "given"})


def _why_committed(files: Files, scope: Function, mentions: Mentions) -> str:
    """Return why a function goes on committing, empty where the commit is its own affair."""
    owners = files.analysis.owners
    if scope.name == "<module>" or owners.is_scope(scope) or owners.has_owning_decorator(scope):
        return ""
    kind = owners.entry(scope)
    if kind:
        return (
            "the session that it commits is not seen to be that of the app"
            if kind == "route"
            else ""
        )
    if scope.id not in files.analysis.callers:
        try:
            mentions.refuse_unseen(scope)
        except NotSure as error:
            return error.reason
        return "nobody is seen to call it: whether a caller would commit is not known"
    return "the session that it commits is neither a parameter of it nor that of the app"


# --- findings


def _found(files: Files, found: Iterable[Finding]) -> Iterator[_Candidate]:
    for each in found:
        if each.rule in HANDLED:
            reason = f"{each.rule}: {_why_found(each)}"
            rule = "" if each.rule == "TXN302" else each.rule
            yield _Candidate(each.path, each.line, each.function, rule, reason)


def _why_found(found: Finding) -> str:
    if found.rule == "TXN102" and "'commit()'" not in found.message:
        return "only 'commit()' has a counterpart, 'flush()': raise, and its owner rolls back and closes"
    return _REASONS[found.rule]


_REASONS: Mapping[str, str] = {
    "TXN102": "whoever calls it would have to own a scope, which is not seen",
    "TXN301": _NOT_FOLLOWED,
    "TXN302": _AT_IMPORT,
    "TXN403": _NO_COUNTERPART,
    "TXN503": _NO_SCOPE,
}


def _candidate(scope: Function, call: Call, rule: str, reason: str) -> _Candidate:
    name = "" if scope.name == "<module>" else scope.facts.qualname
    return _Candidate(scope.path, call.at.line, name, rule, reason)
