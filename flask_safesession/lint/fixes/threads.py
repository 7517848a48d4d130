"""Threads and executors whose jobs need the app: made by an ``AppContextManager``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from ..analysis import Analysis
from ..facts import Call
from ..findings import Finding
from ..handing import Handing, handings
from ..rules.txn401_session_crosses_thread_or_job import RULE as CROSSES
from ..rules.txn403_worker_without_app_context import RULE as NO_CONTEXT
from ..surroundings import REQUEST_PROXIES
from ..symbols import Binding, Function
from ..values import External
from ..walk import expressions_of, names_in, statements_in
from .changes import Change, Left
from .files import File, Files, NotSure
from .sources import Unfit
from .surroundings import Surroundings

__all__ = ["Threads"]

_POOLS = frozenset(
    {
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.thread.ThreadPoolExecutor",
    }
)
_OWN_ARGUMENTS = frozenset({"target", "args", "kwargs", "name", "daemon"})
_OF_A_REQUEST = REQUEST_PROXIES - {"flask.g", "flask.current_app", "quart.current_app"}


@dataclass
class Threads:
    """Rewrites the threads and executors of a project whose jobs reach the app without a context.

    Args:
        files: The project.
        surroundings: What the project says about where functions are called.
    """

    files: Files
    surroundings: Surroundings

    @property
    def analysis(self) -> Analysis:
        """What the checker knows."""
        return self.files.analysis

    def changes(self) -> tuple[list[Change], list[Left]]:
        """Return the changes, and the hand-overs that are left alone."""
        found = {(each.path, each.line, each.column) for each in NO_CONTEXT.find(self.analysis)}
        changes: dict[cst.CSTNode, Change] = {}
        left: list[Left] = []
        for handing in handings(self.analysis):
            at = handing.call.at
            if (handing.scope.path, at.line, at.column + 1) not in found:
                continue
            try:
                change = self._change(handing)
                changes |= dict.fromkeys(change.edits, change)
            except (NotSure, Unfit) as error:
                left.append(Left(handing.scope.path, at.line, f"'{handing.text}()': {error}"))
        return list(changes.values()), left

    def _change(self, handing: Handing) -> Change:
        self._refuse(handing)
        self.surroundings.refuse_other_framework()
        self.surroundings.refuse_no_context(handing.scope)
        if handing.kind == "thread" and handing.call.keywords:
            return self._thread(handing)
        if handing.kind == "executor" and handing.text.endswith((".submit", ".map")):
            return self._pool(handing)
        reason = (
            "a job of this kind has no counterpart: put '@AppContextManager(app)' on its target"
        )
        raise NotSure(None, reason)

    def _refuse(self, handing: Handing) -> None:
        at = handing.call.at
        here = (handing.scope.path, at.line)
        for each in (each for each in _crossing(self.analysis) if (each.path, each.line) == here):
            raise NotSure(None, f"{each.message} Hand over its key, and load it in the job")
        target = handing.target
        for name in _request_names(target, self.analysis) if target is not None else ():
            raise NotSure(
                None, f"its target reads '{name}', which a job does not have: hand over the values"
            )

    # --- threads

    def _thread(self, handing: Handing) -> Change:
        """``Thread(target=f, …)`` becomes ``AppContextManager().thread(f, …)``."""
        file = self.files.file(handing.scope.path)
        node = file.call_at(handing.call)
        names = {each.keyword.value for each in node.args if each.keyword is not None}
        if any(each.keyword is None for each in node.args) or not names <= _OWN_ARGUMENTS:
            raise NotSure(None, "it is made with arguments that are not followed")
        targets = (each for each in node.args if each.keyword and each.keyword.value == "target")
        first = next(targets, None)
        if first is None:
            raise NotSure(None, "its work is in 'run()': put '@AppContextManager(app)' on that")
        new = node.with_changes(func=_method("thread"), args=_first(node.args, first))
        return self._made(file, handing.scope, handing.call.at.line, node, new)

    # --- executors

    def _pool(self, handing: Handing) -> Change:
        """``ThreadPoolExecutor(…)`` becomes ``AppContextManager().executor(…)`` where it is made."""
        owner = handing.text.rpartition(".")[0]
        made = self._where_made(owner, handing.scope)
        if made is None:
            raise NotSure(None, f"'{owner}' is not seen to be made by a 'ThreadPoolExecutor'")
        scope, call = made
        file = self.files.file(scope.path)
        node = file.call_at(call)
        return self._made(
            file, scope, call.at.line, node, node.with_changes(func=_method("executor"))
        )

    def _where_made(self, owner: str, scope: Function) -> tuple[Function, Call] | None:
        """Return the one call that makes what *scope* calls *owner*."""
        found = [
            (where, binding.value)
            for where, bindings in self._bindings(owner, scope)
            for binding in bindings
        ]
        if len(found) != 1:
            return None
        where, value = found[0]
        return (where, value) if isinstance(value, Call) and self._is_pool(value, where) else None

    def _bindings(self, owner: str, scope: Function) -> Iterator[tuple[Function, list[Binding]]]:
        receiver, _, attribute = owner.rpartition(".")
        if receiver and receiver == scope.receiver and scope.cls is not None:
            for method, binding in scope.cls.attributes.get(attribute, ()):
                yield method, [binding]
            return
        at: Function | None = scope
        while at is not None:
            if owner in at.bindings:
                yield at, at.bindings[owner]
                return
            at = at.outer
        origin = self.analysis.project.variable_module(scope.module, owner) or scope.module
        name = self.analysis.evaluator.original(owner, scope.module, origin)
        yield origin.body, origin.body.bindings.get(name, [])

    def _is_pool(self, call: Call, scope: Function) -> bool:
        value = self.analysis.evaluator.value(call.func, scope)
        return isinstance(value, External) and value.path in _POOLS

    @staticmethod
    def _made(file: File, scope: Function, line: int, node: cst.Call, new: cst.Call) -> Change:
        return Change(file.name, line, scope, {node: new}, {file.name: ("AppContextManager",)})


def _crossing(analysis: Analysis) -> list[Finding]:
    return list(CROSSES.find(analysis))


def _request_names(target: Function, analysis: Analysis) -> Iterator[str]:
    """Return the names in *target* that mean something of the request."""
    for statement in statements_in(target.facts.body):
        for expression in expressions_of(statement):
            for name in names_in(expression):
                if _is_of_request(name, target, analysis):
                    yield name


def _is_of_request(name: str, scope: Function, analysis: Analysis) -> bool:
    head = name.partition(".")[0]
    value = analysis.evaluator.named(head, scope)
    return isinstance(value, External) and value.path in _OF_A_REQUEST


def _method(name: str) -> cst.Attribute:
    return cst.Attribute(cst.Call(cst.Name("AppContextManager")), cst.Name(name))


def _first(args: Sequence[cst.Arg], target: cst.Arg) -> list[cst.Arg]:
    """Return *args* with *target* without its keyword where it comes first; elsewhere it keeps its place."""
    if target is not args[0]:
        return list(args)
    return [target.with_changes(keyword=None, equal=cst.MaybeSentinel.DEFAULT), *args[1:]]
