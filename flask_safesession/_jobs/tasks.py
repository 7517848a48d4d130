"""Coroutines as jobs: each in a task of its own, with contexts and a session of its own."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import Task
from collections.abc import Coroutine, Mapping
from types import CodeType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from flask import Flask

from .._core.options import make_options
from .._core.places import function_place, outside
from .._core.runners import running_loop
from .._session import SessionManager
from .._unit import JOB
from .arguments import TaskTravel, Travel
from .contexts import copy_variables, end_context
from .job import sent_values
from .options import JobOptions

__all__ = ["make_task", "running_tasks"]

T = TypeVar("T")

_running: WeakKeyDictionary[Task[Any], Any] = WeakKeyDictionary()


def make_task(options: JobOptions, coro: Coroutine[Any, Any, T], name: str | None) -> Task[T]:
    """A task that awaits *coro* in a new application context.

    Raises:
        TypeError: If *coro* is no coroutine.
        RuntimeError: If no event loop runs here.
        DetachedArgumentError: If *coro* was given what belongs to the caller.
        NoAppError: If there is no app.
    """
    if not inspect.iscoroutine(coro) or inspect.getcoroutinestate(coro) != inspect.CORO_CREATED:
        raise TypeError(
            f"'create_task()' was given {coro!r}, which is no coroutine, or one that has begun. Give what a call of an "
            "'async def' function returns, such as 'create_task(restock(5))'."
        )
    try:
        loop = _loop()
        function: Any = _Named(coro)
        travel = TaskTravel(function)
        _check_arguments(travel, coro)
        work = _work(options.find_app(), options, coro, sent_values(options, travel))
        task = copy_variables().run(loop.create_task, work, name=name)
    except BaseException:
        coro.close()
        raise
    _running[task] = coro
    task.add_done_callback(_ended)
    return task


def running_tasks() -> dict[Task[Any], Any]:
    """Those whose coroutine has not ended, with it."""
    return {task: coro for task, coro in list(_running.items()) if coro.cr_frame}


def _ended(task: Task[Any]) -> None:
    _running.pop(task).close()  # it may have been cancelled before it began


def _loop() -> asyncio.AbstractEventLoop:
    loop = running_loop()
    if loop is None:
        raise RuntimeError(
            f"{outside().place} called 'create_task()' where no event loop runs. Call it in a coroutine; a thread "
            "hands a function to 'AppContextManager().executor()'."
        )
    return loop


class _Named:
    """The function of a coroutine, for messages."""

    def __init__(self, coro: Any) -> None:
        self.__qualname__: str = coro.__qualname__
        self.__module__: str = coro.cr_frame.f_globals.get("__name__", "")


def _check_arguments(travel: Travel, coro: Any) -> None:
    """Refuse what belongs to the caller among the arguments, which a coroutine has from the beginning."""
    local = coro.cr_frame.f_locals
    given = {name: local[name] for name in _parameters(coro.cr_code, local)}
    travel.arguments((), given)


def _parameters(code: CodeType, local: Mapping[str, Any]) -> list[str]:
    count = code.co_argcount + code.co_kwonlyargcount
    more = (code.co_flags & inspect.CO_VARARGS > 0) + (code.co_flags & inspect.CO_VARKEYWORDS > 0)
    return [name for name in code.co_varnames[: count + more] if name in local]


async def _work(
    app: Flask, options: JobOptions, coro: Coroutine[Any, Any, T], values: Mapping[str, Any]
) -> T:
    context = app.app_context()
    function: Any = _Named(coro)
    setattr(context, JOB, function)
    for name, value in values.items():
        setattr(context.g, name, value)
    context.push()
    try:
        if options.transactional:
            async with _scope(function.__qualname__, coro):
                result = await coro
        else:
            result = await coro
    except BaseException as error:
        end_context(context, function, error)
        raise
    end_context(context, function, None)
    return result


def _scope(name: str, coro: Any) -> SessionManager:
    return SessionManager(make_options(name=name), function_place(coro.cr_code))
