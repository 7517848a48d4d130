"""Work that a scope hands to a queue: sent after the commit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import libcst as cst

from ..effects import text_of
from ..facts import Call, Const, Expression, ExpressionStatement, Try, With
from ..origins import last_name
from ..symbols import Function
from ..values import External, FunctionValue, Result
from ..waiting import delay_of, hands_over
from ..walk import calls_in, statements_in
from .changes import Change, Left
from .files import Files, NotSure
from .sources import Unfit

__all__ = ["Queues"]

_INTEGRATIONS = {
    "delay": "celery",
    "apply_async": "celery",
    "send": "dramatiq",
    "send_with_options": "dramatiq",
}
_APP_QUEUE = "flask_safesession.contrib.rq.AppQueue"
_QUEUE_METHODS = frozenset({"enqueue", "enqueue_at", "enqueue_in"})
_WITHOUT = frozenset({"never", "not_supported", "supports"})


@dataclass
class Queues:
    """Rewrites the calls in scopes that hand work to a queue.

    Args:
        files: The project.
    """

    files: Files

    def changes(self) -> tuple[list[Change], list[Left]]:
        """Return the changes, and the calls that are left alone."""
        changes: list[Change] = []
        left: list[Left] = []
        for function in self.files.analysis.functions:
            for call in self._inside(function):
                if not hands_over(call, function, self.files.analysis.effects):
                    continue
                try:
                    changes.append(self._change(call, function))
                except (NotSure, Unfit) as error:
                    left.append(
                        Left(function.path, call.at.line, f"'{text_of(call.func)}()': {error}")
                    )
        return changes, left

    def _inside(self, function: Function) -> list[Call]:
        """Return the calls that *function* makes inside of a scope of its own."""
        if any(
            self._is_ours(each, "transactional", function) for each in function.facts.decorators
        ):
            return list(function.calls)
        found: dict[int, Call] = {}
        for statement in statements_in(function.facts.body):
            if isinstance(statement, With) and any(
                self._is_ours(each, "session_manager", function) for each, _ in statement.items
            ):
                found |= {id(each): each for each in calls_in(statement.body)}
        return list(found.values())

    def _is_ours(self, expression: Expression, name: str, scope: Function) -> bool:
        """Whether *expression* is *name* of this package, with a transaction for sure."""
        call = expression if isinstance(expression, Call) else None
        func = expression if call is None else call.func
        value = self.files.analysis.evaluator.value(func, scope)
        if not isinstance(value, External) or value.path != f"flask_safesession.{name}":
            return False
        given = dict(call.keywords).get("propagation") if call is not None else None
        return given is None or (isinstance(given, Const) and given.value not in _WITHOUT)

    # --- one call

    def _change(self, call: Call, function: Function) -> Change:
        self._refuse(call, function)
        file = self.files.file(function.path)
        node = file.call_at(call)
        name = self._own_method(call, function)
        if name and isinstance(node.func, cst.Attribute):
            new = node.with_changes(func=node.func.with_changes(attr=cst.Name(name)))
            return Change(file.name, call.at.line, function, {node: new}, {file.name: ()})
        self._refuse_result(call, function)
        first = cst.Arg(node.func, comma=_comma(node))
        new = node.with_changes(func=cst.Name("on_commit"), args=[first, *node.args])
        return Change(file.name, call.at.line, function, {node: new}, {file.name: ("on_commit",)})

    def _own_method(self, call: Call, function: Function) -> str:
        """Return the method of our integration that sends after the commit, empty where none is seen to be there."""
        name = last_name(call.func)
        owner = self.files.analysis.effects.owner(call.func, function)
        if isinstance(owner, Result) and owner.path == _APP_QUEUE and name in _QUEUE_METHODS:
            return f"{name}_on_commit"
        if _INTEGRATIONS.get(name) not in self._integrations or not isinstance(
            owner, FunctionValue
        ):
            return ""
        if _INTEGRATIONS[name] == "celery":
            self._refuse_result(call, function)  # the task has no id before it is sent
        return f"{name}_on_commit"

    @cached_property
    def _integrations(self) -> frozenset[str]:
        """The integrations that the project imports."""
        targets = (
            each
            for module in self.files.analysis.project.modules
            for each in (*module.facts.imports.values(), *module.facts.stars)
        )
        parts = (
            each.split(".") for each in targets if each.startswith("flask_safesession.contrib.")
        )
        return frozenset(each[2] for each in parts)

    def _refuse(self, call: Call, function: Function) -> None:
        delay = delay_of(call)
        if delay:
            raise NotSure(None, f"'{delay}' may give the commit its time")
        for statement in statements_in(function.facts.body):
            if isinstance(statement, Try) and any(
                each is call for each in calls_in(statement.body)
            ):
                for each in (
                    kind for handler in statement.handlers for kind in handler.types or ("",)
                ):
                    if not self._is_of_database(each, function):
                        reason = (
                            "a handler around it may be meant for a queue that cannot be reached"
                        )
                        raise NotSure(None, reason)

    def _is_of_database(self, kind: Expression, function: Function) -> bool:
        value = self.files.analysis.evaluator.value(kind, function)
        return isinstance(value, External) and value.path.startswith("sqlalchemy")

    @staticmethod
    def _refuse_result(call: Call, function: Function) -> None:
        alone = (
            isinstance(each, ExpressionStatement) and each.value is call
            for each in statements_in(function.facts.body)
        )
        if not any(alone):
            raise NotSure(None, "its result is used, and there is none before the commit")


def _comma(node: cst.Call) -> cst.Comma | cst.MaybeSentinel:
    if not node.args:
        return cst.MaybeSentinel.DEFAULT
    return cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
