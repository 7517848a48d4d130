"""``process_executor``: a ``ProcessPoolExecutor`` whose jobs have contexts and sessions of the worker's own app."""

from __future__ import annotations

import contextvars
import functools
import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from types import MethodType
from typing import Any, TypeVar

from flask import Flask
from typing_extensions import ParamSpec

from .. import errors
from .._core.hooks import hook_name
from .._core.places import outside
from .app_path import AppPath, parse_app_path
from .arguments import Travel
from .containers import is_plain
from .job import Call, sent_arguments, sent_values
from .options import JobOptions

__all__ = ["AppContextProcessExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class AppContextProcessExecutor(ProcessPoolExecutor):
    """A process pool in which each job has an application context and a session of its own.

    Args:
        options: How its jobs run; the app in it stays here.
        app: The import path of the app that each worker makes for itself.
        max_workers: As for :class:`~concurrent.futures.ProcessPoolExecutor`, and so is *mp_context*.

    Raises:
        TypeError: If *app* is no string.
        ValueError: If *app* is no import path.
        NoAppError: If the path leads nowhere.
    """

    def __init__(
        self,
        options: JobOptions,
        app: str,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
    ) -> None:
        path = parse_app_path(app)
        path.check()
        self._options = options
        super().__init__(max_workers, mp_context, start_worker, (path,))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a worker process, in a new application context with its own session.

        Raises:
            TypeError: If *fn* or an argument cannot be sent to a process, *fn* is a coroutine function, or does not
                take these arguments.
            DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
            RuntimeError: If the executor was shut down or is broken.
        """
        sent: tuple[Any, ...] = args if _is_chunk(fn) else (self._pack(fn, args, kwargs),)
        run: Callable[..., T] = fn if _is_chunk(fn) else run_in_worker
        return super().submit(run, *sent)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **more: Any,
    ) -> Iterator[T]:
        """As for :class:`~concurrent.futures.ProcessPoolExecutor`; a context for each item, however large the chunks.

        Raises:
            TypeError, DetachedArgumentError: As for :meth:`submit`.
        """
        packed = (self._pack(fn, args, {}) for args in zip(*iterables, strict=False))
        return super().map(run_in_worker, packed, timeout=timeout, chunksize=chunksize, **more)

    def _pack(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """A call as bytes: what cannot be sent is refused here, and what cannot be read breaks no worker."""
        options = self._options
        sent = sent_arguments(options, fn, args, kwargs)
        values = sent_values(options, Travel(fn, options.instances))
        call = Call(fn, *sent, values, options.instances, options.transactional)
        try:
            return _dump(call)
        except Exception as error:
            raise _unsendable(call, error) from error


def _is_chunk(fn: Any) -> bool:
    """Whether the base class submits what :meth:`AppContextProcessExecutor.map` has packed."""
    return isinstance(fn, functools.partial) and fn.args[:1] == (run_in_worker,)


class _Worker:
    """The app of this process, if it is a worker."""

    app: Flask | None = None
    failure: BaseException | None = None
    path: str = ""


_worker = _Worker()


def start_worker(path: AppPath) -> None:
    """Make the app, away from the context variables that a forked worker has of its submitter."""
    _worker.app, _worker.failure, _worker.path = None, None, path.text
    try:
        _worker.app = contextvars.Context().run(path.load)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - each job says it; the stock pool would only be "broken"
        _worker.failure = error


def run_in_worker(packed: bytes) -> Any:
    """Run a packed call."""
    app, failure = _worker.app, _worker.failure
    if app is None:
        raise errors.NoAppError(
            f"The worker process could not make its app from {_worker.path!r}: {type(failure).__name__}: {failure}. "
            "Make the path lead to an app in a new process, without what only the submitter has set up."
        ) from failure
    return contextvars.Context().run(_run, app, packed)


def _run(app: Flask, packed: bytes) -> Any:
    call: Call = pickle.loads(packed)  # noqa: S301 - it comes from the parent process
    call.fn = _Sending(call.fn)
    try:
        return call.run(app, [True])
    except BaseException as error:
        _let_go(error)
        _check_error(error, call)
        raise


class _Sending:
    """A job's function whose result is made ready for the way back while its transaction can still be rolled back."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        if hasattr(fn, "__code__"):
            self.__code__ = fn.__code__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._fn(*args, **kwargs)
        return result if is_plain(result) else _Parcel(self._packed(result))

    def _packed(self, result: Any) -> bytes:
        try:
            return _dump_and_load(result)
        except Exception as error:
            raise TypeError(
                f"'{hook_name(self._fn)}' returned a '{type(result).__name__}', which cannot be sent from its process: "
                f"{error}. Return plain values."
            ) from error


class _Parcel:
    """A result that is packed already; whoever unpacks the parcel has the result."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._packed,)


def _let_go(error: BaseException | None) -> None:
    """Free what the frames of *error* and of its causes hold, such as an open cursor: a pool keeps its last error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _check_error(error: BaseException, call: Call) -> None:
    """Replace an error that would break the pool where it is read."""
    try:
        _dump_and_load(error)
    except Exception as failure:  # noqa: BLE001 - the job's error is the cause
        raise TypeError(
            f"'{hook_name(call.fn)}' raised {error!r}, and a '{type(error).__name__}' cannot be sent from its process: "
            f"{failure}. Let the class take its message as the only argument, or define '__reduce__'."
        ) from error


def _dump(value: Any) -> bytes:
    return bytes(ForkingPickler.dumps(value))


def _dump_and_load(value: Any) -> bytes:
    packed = _dump(value)
    pickle.loads(packed)  # noqa: S301 - it was made a line above
    return packed


def _unsendable(call: Call, error: Exception) -> TypeError:
    fn = _named(call.fn)
    name, caller = hook_name(fn), outside().place
    if not _can_be_sent(fn):
        return TypeError(
            f"{caller} handed '{name}' to a worker process, where it cannot be found by its name: {error}. Give a "
            "function of a module, no lambda and no function inside of another."
        )
    return TypeError(
        f"{caller} handed {_culprit(call)} to '{name}' in a worker process, where it cannot be sent: {error}. Hand "
        "over plain values, and make the rest in the job."
    )


def _named(fn: Any) -> Any:
    """What has to be found by its name: *fn* without what it is bound to."""
    while isinstance(fn, (functools.partial, MethodType)):
        fn = fn.func if isinstance(fn, functools.partial) else fn.__func__
    return fn


def _culprit(call: Call) -> str:
    """The first value that cannot be sent."""
    parts: dict[str, Any] = {"a bound value": call.fn}
    parts |= {f"the argument {at + 1}": each for at, each in enumerate(call.args)}
    parts |= {f"the argument '{name}'": each for name, each in call.kwargs.items()}
    parts |= {f"'g.{name}'": each for name, each in call.values.items()}
    return next((name for name, each in parts.items() if not _can_be_sent(each)), "its arguments")


def _can_be_sent(value: Any) -> bool:
    try:
        _dump(value)
    except Exception:  # noqa: BLE001 - pickling runs code of the value
        return False
    return True
