"""``stream_with_session()``: a response body that owns its session until it ends."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, overload

from flask import Flask
from flask.ctx import AppContext
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import ParamSpec

from . import errors
from ._core.hooks import hook_name
from ._core.notes import add_note
from ._jobs.contexts import context_maker, copy_variables
from ._unit import Unit, current_unit, existing_unit

__all__ = ["SessionStream", "make_stream", "stream_with_session"]

P = ParamSpec("P")
T = TypeVar("T")


class SessionStream(Iterator[T]):
    """An iterator over a body that runs in an application context of its own.

    Each step runs in one :class:`contextvars.Context`, where the application context stays pushed until the end: no
    thread carries it between two steps, and any thread may ask for the next one.
    """

    def __init__(self, body: Iterable[T], app: Flask) -> None:
        self._body = body
        self._variables = copy_variables(request=True)
        self._make_context = context_maker(app)
        self._lock = threading.RLock()
        self._iterator: Iterator[T] | None = None
        self._context: AppContext | None = None
        self._ended = False

    def __next__(self) -> T:
        with self._lock:
            if self._ended:
                raise StopIteration
            return self._variables.run(self._step)

    def close(self) -> None:
        """End the body where it stands: it is closed, its session rolled back, its connection given back."""
        with self._lock:
            if not self._ended:
                self._variables.run(self._end, GeneratorExit())

    def __del__(self) -> None:
        self.close()

    def _step(self) -> T:
        try:
            if self._iterator is None:
                self._iterator = self._begin()
            return next(self._iterator)
        except StopIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._explain(error)
            self._end(error)
            raise
        finally:
            self._rest()

    def _rest(self) -> None:
        """Any thread may ask for the next chunk."""
        unit = existing_unit()
        if unit is not None:
            unit.rest()

    def _explain(self, error: BaseException) -> None:
        """Say where a generator expression has its session from: SQLAlchemy only knows that it was closed."""
        body = self._body
        is_expression = (
            isinstance(body, types.GeneratorType) and body.gi_code.co_name == "<genexpr>"
        )
        if is_expression and isinstance(error, (SQLAlchemyError, errors.SafeSessionError)):
            add_note(
                error,
                "The streaming body is a generator expression: it asked for its first iterable where it is written, "
                "with the session of the view. Write a generator function, whose whole body runs with the session of "
                "the stream.",
            )

    def _begin(self) -> Iterator[T]:
        context = self._make_context()
        context.push()
        self._context = context
        return iter(self._body)

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        context, self._context = self._context, None
        with contextlib.ExitStack() as stack:
            if context is not None:
                stack.push(lambda _, failure, __: context.pop(failure or error))
            close = getattr(self._body, "close", None)
            if close is not None:
                close()


@overload
def stream_with_session(generator: Iterable[T]) -> SessionStream[T]: ...


@overload
def stream_with_session(generator: Callable[P, Iterable[T]]) -> Callable[P, SessionStream[T]]: ...


def stream_with_session(generator: Any) -> Any:
    """Let a response body own its session until it ends.

    The body runs in an application context of its own, never in the request's: ``db.session`` is one session for all
    of its chunks, ``g`` is empty. Context variables have the values of the call, and with Flask 3.1 ``request`` can
    be read as the view left it. When the body ends, its session is rolled back and its connection given back: after
    the last chunk, after an exception, when the client goes away, and when nobody ever reads it. A body that changes
    something opens ``with session_manager():`` for it.

    Args:
        generator: A generator or another iterable, or a generator function, which it decorates.

    Returns:
        An iterator with a method ``close()``; for a generator function, a function that returns one.

    Raises:
        TypeError: If *generator* is none of these.
        NoAppError: When the iterator is made, without an app context or a database.

    .. versionadded:: 0.1
    """
    return make_stream(generator, current_unit)


def make_stream(generator: Any, find_unit: Callable[[], Unit]) -> Any:
    """Do what :func:`stream_with_session` says, on the app of the unit of work that *find_unit* finds."""
    if isinstance(generator, Iterable) and not isinstance(generator, (str, bytes, type)):
        return SessionStream(generator, find_unit().state.app)
    if not inspect.isgeneratorfunction(generator):
        raise _no_body(generator)

    @functools.wraps(generator)
    def make(*args: Any, **kwargs: Any) -> SessionStream[Any]:
        return SessionStream(generator(*args, **kwargs), find_unit().state.app)

    return make


def _no_body(given: Any) -> TypeError:
    if inspect.isasyncgen(given) or inspect.isasyncgenfunction(given):
        return TypeError(
            f"'stream_with_session' was given {given!r}, an asynchronous generator. Write a plain generator."
        )
    if inspect.isroutine(given):
        return TypeError(
            f"'stream_with_session' was put on '{hook_name(given)}', which is no generator function: it would run with "
            "the session of its caller. Give 'stream_with_session' a generator, or put it on the function that yields."
        )
    return TypeError(
        f"'stream_with_session' was given {given!r}. Give a generator, or put it on a generator function."
    )
