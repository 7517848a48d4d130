"""Who owns a transaction: entry points, scopes written in the project, and what ends sessions from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from .effects import Effect, text_of
from .facts import Call, Const, Expression, Group, With
from .origins import last_name
from .surroundings import (
    COMMAND_DECORATORS,
    ROUTE_METHODS,
    TASK_DECORATORS,
    VIEW_BASES,
    VIEW_METHODS,
)
from .symbols import Class, Function
from .values import ClassValue, FunctionValue, Result, Session
from .walk import statements_in

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["Owners"]

_OWNING_NAME = re.compile(r"transaction|atomic|session|commit|unit_?of_?work|uow", re.IGNORECASE)
_CONTEXT_MANAGERS = frozenset({"contextmanager", "asynccontextmanager"})
_REQUEST_HOOKS = frozenset(
    {
        "after_request",
        "after_app_request",
        "teardown_request",
        "teardown_app_request",
        "teardown_appcontext",
        "do_teardown_appcontext",
        "middleware",
    }
)
_TASK_METHODS = frozenset({"__call__", "on_success", "after_return"})
_PLAIN_DECORATORS = frozenset(
    {
        "abstractmethod",
        "cache",
        "cached_property",
        "classmethod",
        "contextmanager",
        "asynccontextmanager",
        "deprecated",
        "final",
        "lru_cache",
        "override",
        "overload",
        "property",
        "setter",
        "staticmethod",
        "timer",
        "timed",
        "typechecked",
        "validate_arguments",
        "wraps",
        "retry",
        "requires_transaction",
    }
)


class Owners:
    """Answers who ends the transactions that a function works in."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis

    # --- entry points

    def entry(self, function: Function) -> str:
        """Return what kind of entry point *function* is, empty where it is none."""
        for decorator in function.facts.decorators:
            kind = self._by_decorator(decorator, function)
            if kind:
                return kind
        if (
            function.is_method
            and function.cls is not None
            and function.name in VIEW_METHODS
            and self._is_view(function)
        ):
            return "route"
        return "job" if function.id in self.job_targets else ""

    def _by_decorator(self, decorator: Expression, function: Function) -> str:
        call = decorator if isinstance(decorator, Call) else None
        text = text_of(decorator.func if isinstance(decorator, Call) else decorator)
        owner, _, name = text.rpartition(".")
        if name in TASK_DECORATORS:
            return "task"
        if name in COMMAND_DECORATORS:
            return "command"
        if call is None or not owner:
            return ""
        if name in {"route", "api_route", "expose"}:
            return "route"
        if (
            name in ROUTE_METHODS
            and call.args
            and owner.rpartition(".")[2] not in {"requests", "mock", "responses"}
        ):
            return "route"
        return ""

    def answers(self, function: Function) -> bool:
        """Whether what *function* returns is the answer to a request."""
        public = not function.name.startswith("_")
        return self.entry(function) == "route" or (public and self._is_view(function))

    def _is_view(self, function: Function) -> bool:
        if function.cls is None:
            return False
        for cls in self.analysis.project.ancestry(function.cls):
            for base in cls.facts.bases:
                if isinstance(base, str) and VIEW_BASES.search(base):
                    return True
        return False

    @cached_property
    def job_targets(self) -> frozenset[str]:
        """The functions that a thread, an executor, a timer, a scheduler or a queue calls."""
        targets = (each.target for each in self.analysis.handings)
        return frozenset(each.id for each in targets if each is not None)

    @cached_property
    def receivers(self) -> frozenset[str]:
        """The functions that own the session which they are given: 'handoff()' of this package gave it away."""
        return frozenset(
            each.target.id
            for each in self.analysis.handings
            if each.target is not None
            and any(last_name(call.func) == "handoff" for call in each.scope.calls)
        )

    # --- scopes

    def is_scope(self, function: Function) -> bool:
        """Whether *function* gives a session to a block or caller and takes it back: a generator, or a decorator."""
        return function.facts.is_generator or bool(function.binding_names & _CONTEXT_MANAGERS)

    def has_owning_decorator(self, function: Function) -> bool:
        """Whether a decorator opens, ends or brings the transaction of *function*."""
        outer = function.outer or function.module.body
        return any(self._owns(each, outer) for each in function.facts.decorators) or any(
            self._owns(each, body) for each, body in self._of_class(function)
        )

    def _of_class(self, function: Function) -> Iterator[tuple[Expression, Function]]:
        """Yield what ``decorators`` of a view and ``method_decorators`` of a resource put around *function*."""
        if function.cls is None or function.name not in VIEW_METHODS:
            return
        for cls in self.analysis.project.ancestry(function.cls):
            for name in ("decorators", "method_decorators"):
                for binding in cls.body_bindings.get(name, ()):
                    items = binding.value.items if isinstance(binding.value, Group) else ()
                    yield from ((each, cls.module.body) for each in items)

    def _owns(self, decorator: Expression, outer: Function) -> bool:
        func = decorator.func if isinstance(decorator, Call) else decorator
        text = text_of(func)
        if isinstance(decorator, Call) and _asks_for_a_transaction(decorator):
            return True
        if self.analysis.effects.is_named(func, outer, self.analysis.project.options.owners):
            return True
        name = text.rpartition(".")[2]
        if name in _PLAIN_DECORATORS:
            return False
        value = self.analysis.evaluator.value(func, outer)
        if isinstance(value, FunctionValue):
            return self.ends_something(value.function) or bool(_OWNING_NAME.search(name))
        if isinstance(value, ClassValue):
            return any(self.ends_something(each) for each in value.cls.methods.values())
        return bool(_OWNING_NAME.search(name)) and not isinstance(value, Result)

    def ends_something(self, function: Function) -> bool:
        """Whether *function*, or one inside it, ends or makes a session; a decorator's ``self`` may be anything."""
        for each in function.everything():
            summary = self.analysis.effects.summary(each)
            if any(effect & Effect.ENDS for effect in summary.effects.values()):
                return True
            if any(last_name(call.func) in {"commit", "rollback"} for call in each.calls):
                return True
            if self._opens_block(each):
                return True
        return False

    def _opens_block(self, function: Function) -> bool:
        """Whether *function* enters a session of its own around what it calls."""
        for statement in statements_in(function.facts.body):
            if isinstance(statement, With):
                for expression, _ in statement.items:
                    session = self.analysis.evaluator.entered(expression, function)
                    if isinstance(session, Session) and session.origin in {"made", "scope"}:
                        return True
        return False

    def is_registered(self, function: Function) -> bool:
        """Whether a decorator hands *function* to a framework, which then calls it."""
        for decorator in function.facts.decorators:
            text = text_of(decorator.func if isinstance(decorator, Call) else decorator)
            name = text.rpartition(".")[2]
            if (
                "." in text
                and name not in _PLAIN_DECORATORS
                and not text.startswith(("functools.", "abc.", "typing."))
            ):
                return True
        return False

    def makes_session(self, function: Function) -> bool:
        """Whether *function* opens the session that it works on."""
        summary = self.analysis.effects.summary(function)
        return any(each.origin in {"made", "scope"} for each in summary.sessions.values())

    def owns(self, function: Function) -> bool:
        """Whether *function* is where a transaction begins: an entry point or the opener of a session."""
        return (
            bool(self.entry(function))
            or function.id in self.receivers
            or self.makes_session(function)
            or self.has_owning_decorator(function)
        )

    # --- behind the code's back

    @cached_property
    def commits_after_requests(self) -> bool:
        """Whether a request hook, a middleware or a setting commits what a view leaves."""
        return any(map(self._commits, self._request_hooks))

    @cached_property
    def may_commit_after_requests(self) -> bool:
        """Whether one does, or calls ``commit()`` on what it finds in ``g``."""
        calls = (call for each in self._request_hooks for call in each.calls)
        return self.commits_after_requests or any(
            last_name(each.func) == "commit" for each in calls
        )

    @cached_property
    def commits_after_tasks(self) -> bool:
        """Whether a base class of tasks commits what a task leaves."""
        return any(
            self._commits(each)
            for each in self.analysis.functions
            if each.name in _TASK_METHODS and each.cls is not None and self._is_task(each.cls)
        )

    def _is_task(self, cls: Class) -> bool:
        bases = (base for each in self.analysis.project.ancestry(cls) for base in each.facts.bases)
        return any(last_name(each).endswith("Task") for each in bases)

    @cached_property
    def _request_hooks(self) -> list[Function]:
        return [
            each
            for each in self.analysis.functions
            if each.binding_names & _REQUEST_HOOKS or self._is_middleware(each)
        ]

    def _is_middleware(self, function: Function) -> bool:
        if function.cls is None or function.name not in {
            "__call__",
            "dispatch",
            "process_response",
            "process_request",
        }:
            return False
        return "middleware" in function.cls.name.lower()

    def _commits(self, function: Function) -> bool:
        return any(
            effect & Effect.COMMIT
            for each in function.everything()
            for effect in self.analysis.effects.summary(each).effects.values()
        )

    @cached_property
    def dependencies_commit(self) -> bool:
        """Whether some generator of the project commits the session that it gave."""
        return any(
            each.facts.is_generator and self._commits(each) for each in self.analysis.functions
        )


def _asks_for_a_transaction(decorator: Call) -> bool:
    """Whether it is ``@celery.task(transactional=True)`` or one of its like among our integrations."""
    return any(
        name == "transactional" and isinstance(value, Const) and value.value is True
        for name, value in decorator.keywords
    )
