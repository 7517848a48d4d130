"""What may be handed to a job: plain values. Instances are refused, or travel as their primary keys."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import CoroutineType, FunctionType, MethodType
from typing import Any, Literal, NamedTuple

import flask.globals
from flask import Request
from flask.ctx import AppContext
from sqlalchemy import Connection, MappingResult, Result, ScalarResult
from sqlalchemy import inspect as inspect_mapped
from sqlalchemy.orm import InstanceState, Query, Session, SessionTransaction, scoped_session
from sqlalchemy.util import ScopedRegistry
from werkzeug.local import LocalProxy

from .. import errors
from .._core.hooks import hook_name
from .._core.places import outside
from .containers import CannotRebuildError, is_plain, leaves, rebuild

__all__ = [
    "Instances",
    "Reference",
    "TaskTravel",
    "Travel",
    "check_tried",
    "reload",
    "what_is_bound",
]

Instances = Literal["raise", "reload"]
Name = Callable[[], str]

# What belongs to a thread, a session or a request, whatever it is used for.
_OF_SESSION = (
    *(Session, SessionTransaction, InstanceState),
    *(Query, Connection, Result, ScalarResult, MappingResult),
)
_BOUND = (
    *_OF_SESSION,
    *(scoped_session, ScopedRegistry),
    *(Request, AppContext, LocalProxy, CoroutineType),
)
_AWAITED = (
    *("AsyncSession", "AsyncSessionTransaction", "AsyncConnection", "AsyncTransaction"),
    *("AsyncResult", "AsyncScalarResult", "AsyncMappingResult"),
)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Reference(NamedTuple):
    """A stored instance on its way to a job."""

    model: type[Any]
    identity: tuple[Any, ...]

    def __str__(self) -> str:
        key = self.identity[0] if len(self.identity) == 1 else self.identity
        return f"'{self.model.__name__}' {key!r}"


class Travel:
    """The way of values from a submitter to the function *fn*.

    Args:
        fn: The job's function, for messages.
        instances: ``"raise"`` refuses ORM instances, ``"reload"`` turns them into references.
    """

    _bound: tuple[type, ...] = _BOUND

    def __init__(self, fn: Callable[..., Any], instances: Instances) -> None:
        self._fn = fn
        self._instances = instances

    def arguments(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that the job gets.

        Raises:
            DetachedArgumentError: If one belongs to the submitter's thread or session.
        """
        self._check_function(self._fn)
        sent = tuple(
            self.value(value, functools.partial(self._name, at)) for at, value in enumerate(args)
        )
        named = {
            name: self.value(value, functools.partial(str, name)) for name, value in kwargs.items()
        }
        return sent, named

    def value(self, value: Any, name: Name) -> Any:
        """One value; *name* tells where it was given."""
        if is_plain(value):
            return value
        found = False
        for leaf in leaves(value):
            self._check_bound(leaf, name)
            state = _state(leaf)
            if state is not None:
                self._check_instance(leaf, state, name)
                found = True
        return self._with_references(value, name) if found else value

    def _check_function(self, fn: Any) -> None:
        """Refuse what a function brings along: it cannot be reloaded."""
        if isinstance(fn, functools.partial):
            self._check_function(fn.func)
            self._refuse("a value of the partial", *fn.args, *fn.keywords.values())
        elif isinstance(fn, MethodType):
            self._refuse("self", fn.__self__)
            self._check_function(fn.__func__)
        elif isinstance(fn, FunctionType):
            self._refuse("a default", *(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values())

    def _refuse(self, name: str, *values: Any) -> None:
        for value in values:
            for leaf in leaves(value):
                self._check_bound(leaf, lambda: name)
                if _state(leaf) is not None:
                    call = "Hand its primary key over as an argument, and load it there."
                    raise self._refusal(name, _instance_text(leaf), call)

    def _name(self, at: int) -> str:
        try:
            parameters = inspect.signature(self._fn).parameters.values()
        except (ValueError, TypeError):
            return str(at + 1)
        names = [each.name for each in parameters if each.kind in _POSITIONAL]
        return names[at] if at < len(names) else str(at + 1)

    def _check_bound(self, value: Any, name: Name) -> None:
        if _is_bound(value, self._bound):
            call = "Hand over the values that it needs."
            raise self._refusal(name(), _bound_text(value), call)

    def _check_instance(self, value: Any, state: InstanceState[Any], name: Name) -> None:
        if self._instances == "raise":
            call = (
                "Hand over its primary key and load it in the job, or let "
                "'AppContextManager(instances=\"reload\")' do that."
            )
            raise self._refusal(name(), _instance_text(value), call)
        if state.identity is None:
            text = f"{_instance_text(value)} that was never stored"
            raise self._refusal(name(), text, "Commit it first.")

    def _with_references(self, value: Any, name: Name) -> Any:
        try:
            return rebuild(value, _reference)
        except CannotRebuildError as error:
            call = "Put the instances into a list, a dict or a dataclass."
            raise self._refusal(name(), f"instances inside of {error}", call) from None

    def _refusal(self, name: str, what: str, call: str) -> errors.DetachedArgumentError:
        function: Any = self._fn
        while isinstance(function, functools.partial):
            function = function.func
        return errors.DetachedArgumentError(
            f"{outside().place} handed {what} to '{hook_name(function)}' in the argument '{name}', and it belongs to "
            f"the thread and the session that it comes from. {call}"
        )


class _Try(Travel):
    """The way into each try of a function, on the same thread, where proxies lead to the session of that try."""

    _bound = _OF_SESSION

    def _check_instance(self, value: Any, state: InstanceState[Any], name: Name) -> None:
        call = (
            "Hand over its primary key and load it in the function: each try has its own session."
        )
        raise self._refusal(name(), _instance_text(value), call)


class TaskTravel(Travel):
    """The way into a task, whose coroutine has its arguments already: nothing can be loaded before it begins."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__(fn, "raise")

    def _check_instance(self, value: Any, state: InstanceState[Any], name: Name) -> None:
        call = "Hand over its primary key and load it in the coroutine."
        raise self._refusal(name(), _instance_text(value), call)


def check_tried(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what a second try of *fn* could not use: what belongs to one session.

    Raises:
        DetachedArgumentError: If an argument does, or holds it.
    """
    _Try(fn, "raise").arguments(args, kwargs)


def what_is_bound(value: Any) -> str | None:
    """What in *value* belongs to a session, a thread or a request, if anything does."""
    for leaf in leaves(value):
        if _is_bound(leaf, _BOUND):
            return _bound_text(leaf)
        if _state(leaf) is not None:
            return _instance_text(leaf)
    return None


def reload(value: Any, session: Session, name: str) -> Any:
    """Put the rows of the references in *value* in their place.

    Args:
        value: What :meth:`Travel.arguments` gave.
        session: The session of the job.
        name: The job's function, for the message.

    Raises:
        DetachedArgumentError: If a row is not there any more.
    """

    def load(each: Any) -> Any:
        if type(each) is not Reference:
            return each
        instance = session.get(each.model, each.identity)
        if instance is None:
            raise errors.DetachedArgumentError(
                f"The {each} that '{name}' was to work on is not stored (any more). Submit the job after the commit, "
                "with 'on_commit()', and expect that rows may be deleted until it runs."
            )
        return instance

    holds_references = any(type(each) is Reference for each in leaves(value, Reference))
    return rebuild(value, load, Reference) if holds_references else value


def _reference(value: Any) -> Any:
    state = _state(value)
    return value if state is None else Reference(type(value), tuple(state.identity or ()))


def _state(value: Any) -> InstanceState[Any] | None:
    if getattr(type(value), "_sa_class_manager", None) is None:
        return None
    state: InstanceState[Any] | None = inspect_mapped(value, raiseerr=False)
    return state


def _is_bound(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether *value* is one of *kinds*, or what a coroutine has in its place."""
    kind, awaited = type(value), sys.modules.get("sqlalchemy.ext.asyncio")
    if awaited is None:
        return issubclass(kind, kinds)
    return issubclass(kind, (*kinds, *(getattr(awaited, name) for name in _AWAITED)))


def _instance_text(value: Any) -> str:
    return f"an instance of '{type(value).__name__}'"


def _bound_text(value: Any) -> str:
    if issubclass(type(value), LocalProxy):
        names = (name for name, each in vars(flask.globals).items() if each is value)
        return f"the proxy '{next(names, 'LocalProxy')}'"
    return f"a '{type(value).__name__}'"
