"""``SAFESESSION_ASYNC_PORTAL``: async views on one event loop, in a thread of its own, whose connections stay open."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import ctypes
import functools
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any

from flask import Flask

from .._core.forks import after_fork_in_child
from .._core.runners import running_loop

try:
    from anyio.from_thread import BlockingPortal, start_blocking_portal
except ImportError as missing:
    raise ImportError(
        "'SAFESESSION_ASYNC_PORTAL' needs 'anyio', which is not installed. Install the extra that brings it: "
        "'pip install flask-safesession[async]'."
    ) from missing

__all__ = ["wire_portal"]

AsyncFunction = Callable[..., Coroutine[Any, Any, Any]]

_MISSING = object()


class Portal:
    """The event loop of this process, started by the first who needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def get(self) -> BlockingPortal:
        """The portal; a thread that waits for it does so for as long as a loop takes to start."""
        if self._portal is None:
            with self._lock:
                if self._portal is None:
                    manager = start_blocking_portal(name="flask_safesession portal")
                    self._portal = self._stack.enter_context(manager)
        return self._portal

    def stop(self) -> None:
        """End the loop, and with it its connections."""
        with self._lock:
            self._portal = None
            self._stack.close()

    def forked(self) -> None:
        """Begin anew in a child. The parent's loop is never let go of there: to close it would tell the parent's."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._stack))
        self.__init__()  # type: ignore[misc]


_process = Portal()
atexit.register(_process.stop)
after_fork_in_child(_process.forked)


@dataclass(frozen=True)
class Ending:
    """How a coroutine ended, and the context variables that it has set."""

    value: Any
    error: BaseException | None
    variables: dict[ContextVar[Any], Any]

    def result(self) -> Any:
        """What it returned; its error is raised, and what it has set is set for the caller."""
        for variable, value in self.variables.items():
            variable.set(value)
        if self.error is not None:
            raise self.error
        return self.value


def wire_portal(app: Flask) -> None:
    """Let the async functions of *app* run on the portal, where Flask has to wait for them."""

    def async_to_sync(func: AsyncFunction) -> Callable[..., Any]:
        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            if running_loop() is not None:
                raise RuntimeError(
                    f"'{func.__qualname__}' is a coroutine function, and was called like a plain one where an event "
                    "loop runs: nobody can wait for it there. Write 'await'."
                )
            return _wait(functools.partial(func, *args, **kwargs))

        return call

    app.async_to_sync = async_to_sync  # type: ignore[method-assign]


def _wait(func: AsyncFunction) -> Any:
    future = _process.get().start_task_soon(_run, func)
    try:
        ending = future.result()
    except BaseException:
        future.cancel()  # the caller was interrupted
        raise
    return ending.result()


async def _run(func: AsyncFunction) -> Ending:
    """Run *func* to its end, whatever that is: an error that is none of the portal's own must not end the portal."""
    before = contextvars.copy_context()
    value, error = None, None
    try:
        value = await func()
    except asyncio.CancelledError:
        raise  # the caller was interrupted
    except BaseException as failure:  # noqa: BLE001 - it is raised where the caller waits
        error = failure
    return Ending(value, error, _changes(before, contextvars.copy_context()))


def _changes(before: Context, after: Context) -> dict[ContextVar[Any], Any]:
    return {
        variable: value
        for variable, value in after.items()
        if before.get(variable, _MISSING) is not value
    }
