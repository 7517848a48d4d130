"""``@transactional``: a scope around a function, and for a view the outcome by its response."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, TypedDict, TypeVar, cast, overload

from typing_extensions import ParamSpec, Unpack
from werkzeug.exceptions import HTTPException

from ._core.options import Propagation, ScopeOptions, make_options
from ._core.places import Place, function_place, outside
from ._core.propagation import open_frame
from ._core.retry import Retry, RetryPolicy, make_policy
from ._core.scope import Frame, Home
from ._functions import check_plain_function, is_coroutine_function
from ._jobs.arguments import check_tried
from ._session import current_scope
from ._tries import TriedUnit, call_tried, check_retried, is_inside
from ._unit import Unit, current_unit
from ._views import (
    current_view_is,
    finished_response,
    mark_decorated,
    mark_exempt,
    mark_transactional,
    raised_status,
    returned_status,
    seal_body,
)

__all__ = [
    "TransactionalOptions",
    "decorator",
    "make_transactional",
    "maker",
    "non_transactional",
    "transactional",
]

P = ParamSpec("P")
R = TypeVar("R")

Enter = Callable[[Home, ScopeOptions, Place], Frame]

_FIRST_ERROR_STATUS = 400
_PARTIAL = " Give the function's own keyword arguments with 'functools.partial()'."


@dataclass(frozen=True)
class Rule:
    """When a decorated function commits; arguments have the same meaning as for :func:`transactional`."""

    commit_on: tuple[type[BaseException], ...] = ()
    rollback_on_status: int = _FIRST_ERROR_STATUS

    def commits(self, error: BaseException, *, is_view: bool) -> bool:
        """Whether the transaction is committed although *error* leaves the function."""
        if isinstance(error, self.commit_on):
            return True
        return (
            is_view
            and isinstance(error, HTTPException)
            and raised_status(error) < _FIRST_ERROR_STATUS
        )


class TransactionalOptions(TypedDict, total=False):
    """The arguments of :func:`transactional`."""

    propagation: Propagation | str
    read_only: bool
    isolation_level: str | None
    timeout: float | None
    name: str | None
    retry: Retry
    commit_on: type[BaseException] | tuple[type[BaseException], ...]
    rollback_on_status: int


@overload
def transactional(fn: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def transactional(
    **options: Unpack[TransactionalOptions],
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def transactional(
    fn: Callable[P, R] | None = None, /, **options: Unpack[TransactionalOptions]
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a function or coroutine function in a scope: commit when it returns, roll back when an exception leaves it.

    In a view, ``abort()`` and responses with a status of 400 or more roll back too; redirects and other statuses
    commit. The commit comes before ``after_request`` functions run, so they cannot change the outcome. The session
    cannot be used in a streaming body, which runs later: see :func:`stream_with_session`. Put the decorator below
    ``@app.route``, else requests of that view are a TypeError; decorators in between have to use
    :func:`functools.wraps`.

    Args:
        fn: A view, a method of a ``MethodView``, or any function.
        propagation: As for :func:`session_manager`, and so are ``read_only``, ``isolation_level`` and ``timeout``,
            and the errors of all four.
        name: The scope's name in messages; the function's name if None.
        retry: Which faults of the database are worth another try of the whole function: a :class:`RetryPolicy`, a
            number of tries, or True for the default policy; None tries nothing again. See :func:`attempts`.
        commit_on: Exceptions that commit, and go on to the caller: a class or a tuple of them.
        rollback_on_status: In a view, the lowest status of a returned response that rolls back; 400 if not given.

    Raises:
        TypeError: When decorating, if *fn* is a generator function or none at all, or *commit_on* holds no exception
            classes.
        ValueError: When decorating, if a scope's argument is wrong or *rollback_on_status* no HTTP status.
        DetachedArgumentError: When it is called with ORM instances, if *retry* is set.

    .. versionadded:: 0.1
    """
    decorate = decorator(current_unit, options)
    return decorate if fn is None else decorate(fn)


def decorator(
    find_unit: Callable[[], Unit], options: Mapping[str, object]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The decorator that *options* ask for, on the unit of work that *find_unit* finds at the call."""
    make = maker(find_unit, options, "@transactional")

    def decorate(fn: Callable[P, R]) -> Callable[P, R]:
        wrapper = make(fn)
        mark_decorated(fn)  # now: the wrapper has copied the marks that were there
        return wrapper

    return decorate


def maker(
    find_unit: Callable[[], Unit], options: Mapping[str, object], call: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """What wraps a function as *options* say; *call* is what the messages name."""
    wanted: dict[str, Any] = dict(options)
    for name in wanted.keys() - TransactionalOptions.__annotations__.keys():
        known = ", ".join(f"'{each}'" for each in TransactionalOptions.__annotations__)
        hint = _PARTIAL if call == "run()" else ""
        raise TypeError(
            f"'{call}' was given '{name}', which it does not know. It takes {known}.{hint}"
        )
    policy = make_policy(wanted.pop("retry", None))
    rule = Rule(
        _exceptions(wanted.pop("commit_on", ())),
        _status(wanted.pop("rollback_on_status", _FIRST_ERROR_STATUS)),
    )
    asked = make_options(**wanted)
    if policy is not None:
        check_retried(asked)

    def make(fn: Callable[P, R]) -> Callable[P, R]:
        check_plain_function(fn, call, coroutines=True)
        return make_transactional(fn, asked, rule, find_unit, policy)

    return make


def make_transactional(
    fn: Callable[P, R],
    options: ScopeOptions,
    rule: Rule = Rule(),
    find_unit: Callable[[], Unit] = current_unit,
    policy: RetryPolicy | None = None,
) -> Callable[P, R]:
    """Wrap *fn*, a plain or a coroutine function; see :func:`transactional`."""
    place = _definition(fn)
    if options.name is None:
        options = replace(options, name=getattr(fn, "__name__", None))
    if is_coroutine_function(fn):
        wrapper = _coroutine(fn, options, rule, find_unit, place, policy=policy)
        return cast(Callable[P, R], wrapper)
    return _function(fn, options, rule, find_unit, place, policy=policy)


def _function(
    fn: Callable[P, R],
    options: ScopeOptions,
    rule: Rule,
    find_unit: Callable[[], Unit],
    place: Place,
    *,
    policy: RetryPolicy | None,
) -> Callable[P, R]:
    """Wrap a plain function."""

    def calling(enter: Enter) -> Callable[P, R]:
        def once(*args: P.args, **kwargs: P.kwargs) -> R:
            frame = enter(find_unit().blocking_home(), options, place)
            is_view = False
            try:
                is_view = current_view_is(wrapper)
                value = fn(*args, **kwargs)
                if is_view:
                    value = finished_response(value, wrapper)
                    _heed_status(value, rule)
            except BaseException as error:
                frame.leave(None if rule.commits(error, is_view=is_view) else error)
                raise
            frame.leave(None)
            return cast(R, seal_body(value, place.function, frame.session)) if is_view else value

        return once

    once = calling(open_frame)

    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        unit = find_unit()
        if policy is None or is_inside(unit):
            return once(*args, **kwargs)
        check_tried(fn, args, kwargs)
        work = TriedUnit(unit, policy, options, place)
        return call_tried(work, calling(work.open), args, kwargs)

    wrapper = functools.wraps(fn)(once if policy is None else tried)
    mark_transactional(wrapper)
    return wrapper


def _coroutine(
    fn: Callable[..., Any],
    options: ScopeOptions,
    rule: Rule,
    find_unit: Callable[[], Unit],
    place: Place,
    *,
    policy: RetryPolicy | None,
) -> Callable[..., Any]:
    """The same for a coroutine function."""

    def calling(enter_frame: Enter) -> Callable[..., Any]:
        async def once(*args: Any, **kwargs: Any) -> Any:
            from ._async.scopes import enter

            entered = await enter(find_unit(), options, place, enter_frame)
            is_view = False
            try:
                is_view = current_view_is(wrapper)
                value = await fn(*args, **kwargs)
                if is_view:
                    value = finished_response(value, wrapper)
                    _heed_status(value, rule)
            except BaseException as error:
                await entered.leave(None if rule.commits(error, is_view=is_view) else error)
                raise
            session = entered.session.sync_session
            await entered.leave(None)
            return seal_body(value, place.function, session) if is_view else value

        return once

    once = calling(open_frame)

    async def tried(*args: Any, **kwargs: Any) -> Any:
        unit = find_unit()
        if policy is None or is_inside(unit):
            return await once(*args, **kwargs)
        check_tried(fn, args, kwargs)
        from ._async.waiting import awaiting, in_task

        def call(policy: RetryPolicy = policy) -> Any:
            work = TriedUnit.in_task(unit, policy, options, place)
            return call_tried(work, awaiting(calling(work.open)), args, kwargs)

        return await in_task(call)

    wrapper = functools.wraps(fn)(once if policy is None else tried)
    mark_transactional(wrapper)
    return wrapper


def non_transactional(fn: Callable[P, R]) -> Callable[P, R]:
    """Exempt a view, or a method of a ``MethodView``, from ``SAFESESSION_TRANSACTIONAL_VIEWS``.

    .. versionadded:: 0.1
    """
    mark_exempt(fn)
    return fn


def _heed_status(value: Any, rule: Rule) -> None:
    scope = current_scope()
    if scope is not None and returned_status(value) >= rule.rollback_on_status:
        scope.set_rollback_only()


def _definition(fn: Callable[..., Any]) -> Place:
    code: CodeType | None = getattr(fn, "__code__", None)
    return outside().place if code is None else function_place(code)


def _exceptions(value: Any) -> tuple[type[BaseException], ...]:
    classes = value if isinstance(value, tuple) else (value,)
    if all(isinstance(each, type) and issubclass(each, BaseException) for each in classes):
        return classes
    raise TypeError(f"'commit_on' is {value!r}. Give an exception class, or a tuple of them.")


def _status(value: Any) -> int:
    if isinstance(value, int) and 100 <= value <= 600:
        return value
    raise ValueError(
        f"'rollback_on_status' is {value!r}. Give an HTTP status from 100 to 599, or 600 to roll back on none."
    )
