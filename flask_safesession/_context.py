"""``AppContextManager``: application contexts of their own for work outside a request."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask
from flask.ctx import AppContext
from typing_extensions import ParamSpec

from . import errors
from ._core.options import make_options
from ._core.places import Place, here, outside
from ._functions import check_plain_function, is_coroutine_function
from ._jobs.arguments import Instances
from ._jobs.contexts import innermost_context
from ._jobs.executor import AppContextExecutor
from ._jobs.job import plain_job, submitted_job
from ._jobs.options import make_job_options
from ._jobs.threads import AppContextThread
from ._session import SessionManager

if TYPE_CHECKING:
    import asyncio
    from multiprocessing.context import BaseContext

    from ._jobs.processes import AppContextProcessExecutor

__all__ = ["AppContextManager"]

P = ParamSpec("P")
T = TypeVar("T")

_OPENED_BY = "_safesession_opened_by"
_NOBODY = (None, None)


class AppContextManager:
    """New application contexts, each with a session of its own that is rolled back and closed at the end.

    A context manager, a decorator, and a maker of threads and executors. The app is looked up when one of them is used:
    the given one, else ``current_app``.

    Args:
        app: The application.
        propagate_g: Names in the submitter's ``g`` whose values the job's ``g`` gets; missing ones are skipped.
        instances: What happens to ORM instances among the arguments of a job that runs elsewhere: ``"raise"`` refuses
            them, ``"reload"`` sends their primary keys and loads them in the session of the job.
        transactional: Put each context into a scope, which commits before the caller sees a result.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If *instances* is unknown, or a name of *propagate_g* begins with an underscore.
        NoAppError: On use, if there is no app; at once for a ``current_app`` that stands for none.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        propagate_g: Iterable[str] = (),
        instances: Instances = "raise",
        transactional: bool = False,
    ) -> None:
        self._options = make_job_options(app, propagate_g, instances, transactional)

    def __enter__(self) -> AppContext:
        context, scope = self._push(here(1))
        if scope is not None:
            with _popped_on_error(context):
                scope.__enter__()
        return context

    def _push(self, place: Place) -> tuple[AppContext, SessionManager | None]:
        values = self._options.values()
        context = self._options.find_app().app_context()
        for name, value in values.items():
            setattr(context.g, name, value)
        scope = SessionManager(make_options(), place) if self._options.transactional else None
        vars(context)[_OPENED_BY] = (self, scope)
        context.push()
        return context, scope

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context, scope = self._own()
        if scope is not None:
            with _popped_on_error(context):
                scope.__exit__(kind, error, traceback)
        context.pop(error)

    async def __aenter__(self) -> AppContext:
        context, scope = self._push(outside().place)
        if scope is not None:
            with _popped_on_error(context):
                await scope.__aenter__()
        return context

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        context, scope = self._own()
        if scope is not None:
            with _popped_on_error(context):
                await scope.__aexit__(kind, error, traceback)
        context.pop(error)

    def _own(self) -> tuple[AppContext, SessionManager | None]:
        """What was entered last, if it was this."""
        context = innermost_context()
        opener, scope = vars(context).get(_OPENED_BY, _NOBODY) if context else _NOBODY
        if context is None or opener is not self:
            raise errors.StaleContextError(
                f"{outside().place} left an AppContextManager whose application context is not the innermost one. "
                "Leave contexts from the inside out: enter them with 'with'."
            )
        return context, scope

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate *fn*: each call runs in a new context, in the thread of its caller.

        A call of a coroutine function runs in a task of its own, as by :meth:`create_task`.

        Raises:
            TypeError: If *fn* is no function, or a generator function.
        """
        check_plain_function(fn, "@AppContextManager", coroutines=True)

        @functools.wraps(fn)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            result: T = plain_job(self._options, fn, args, kwargs)()
            return result

        @functools.wraps(fn)
        async def coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await self.create_task(cast(Any, fn)(*args, **kwargs))

        return cast(Callable[P, T], coroutine) if is_coroutine_function(fn) else wrapper

    wrap = __call__

    def thread(
        self,
        target: Callable[..., object],
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **thread_options: Any,
    ) -> threading.Thread:
        """A thread that is not started; its target runs in a new context.

        The app, the context variables and ``g`` are those of whoever starts it.

        Args:
            target: The function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            thread_options: ``name`` and ``daemon`` of :class:`threading.Thread`.

        Raises:
            TypeError: If *target* is a coroutine function, or does not take the arguments.
            DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
        """
        return AppContextThread(
            self._options, target, tuple(args), dict(kwargs or {}), **thread_options
        )

    def executor(
        self, max_workers: int | None = None, **executor_options: Any
    ) -> AppContextExecutor:
        """A thread pool whose jobs run in new contexts.

        Args:
            max_workers: As for :class:`~concurrent.futures.ThreadPoolExecutor`.
            executor_options: Its other arguments.
        """
        options = self._options
        return AppContextExecutor(
            max_workers,
            app=options.app,
            propagate_g=options.propagate_g,
            instances=options.instances,
            transactional=options.transactional,
            **executor_options,
        )

    def process_executor(
        self,
        app: str,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
    ) -> AppContextProcessExecutor:
        """A process pool whose jobs run in new contexts of an app that each worker makes once.

        Args:
            app: Where the workers find the app, as for ``flask --app``: ``"package.module:app"``,
                ``"package.module:create_app()"`` or ``"package.module:create_app('test')"``.
            max_workers: As for :class:`~concurrent.futures.ProcessPoolExecutor`.
            mp_context: The same; :func:`multiprocessing.get_context` tells how processes are started.

        Raises:
            TypeError: If *app* is no string.
            ValueError: If *app* is no import path.
            NoAppError: If there is no such module, or the module is known and has no such name.
        """
        from ._jobs.processes import AppContextProcessExecutor

        return AppContextProcessExecutor(self._options, app, max_workers, mp_context)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None
    ) -> asyncio.Task[T]:
        """As :func:`asyncio.create_task`, in a new context.

        The app, the context variables and ``g`` are those of the caller. Instances are refused in any case: the
        coroutine has its arguments already.

        Args:
            coro: A coroutine: what a call of an ``async def`` function returns.
            name: The name of the task.

        Raises:
            TypeError: If *coro* is no coroutine.
            RuntimeError: If no event loop runs here.
            DetachedArgumentError: If it was given an ORM instance, a session or a proxy.
        """
        from ._jobs.tasks import make_task

        return make_task(self._options, coro, name)

    async def to_thread(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As :func:`asyncio.to_thread`, in a new context.

        Raises:
            TypeError: If *fn* is a coroutine function, or does not take the arguments.
            DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
        """
        import asyncio

        job = submitted_job(self._options, fn, args, kwargs)
        result: T = await asyncio.get_running_loop().run_in_executor(None, job)
        return result


@contextlib.contextmanager
def _popped_on_error(context: AppContext) -> Iterator[None]:
    """End *context* with the error of its scope."""
    try:
        yield
    except BaseException as error:
        context.pop(error)
        raise
