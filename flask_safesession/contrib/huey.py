"""Huey: each task, hook and signal receiver has an application context and a session of its own."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from flask import Flask
from huey.api import Huey, Result, ResultGroup, Task, TaskWrapper, chord, group
from huey.signals import Signal

from flask_safesession import AppContextManager
from flask_safesession.errors import NoAppError

from ._arguments import refuse_bound_arguments, refuse_wrong_arguments
from ._messages import call_text, send_on_commit

__all__ = ["enqueue_on_commit", "init_huey"]

Work = TypeVar("Work", Task, group, chord)

_INSTALLED: Final = "safesession"
_CHECKED: Final = "_safesession_checked"
# Huey has no other place where a hook that was registered earlier could be met.
_HOOKS: Final = ("_pre_execute", "_post_execute", "_startup", "_shutdown")


def init_huey(huey: Huey, app: Flask | Callable[[], Flask], *, transactional: bool = False) -> None:
    """Run what Huey calls in new application contexts, each with a session of its own.

    That is: tasks and periodic tasks, each of their retries, hooks before and after them, those of a worker's start
    and end, and receivers of signals; also in immediate mode. It does not matter which were registered before. Called
    again, it replaces the app.

    Args:
        huey: The queue.
        app: The app, or a factory without arguments that is called when the first of them runs.
        transactional: Whether each of them is one transaction, committed before Huey sees that it returned. A task says
            otherwise for itself with ``@huey.task(transactional=…)``.

    Raises:
        TypeError: If *huey* is no Huey, or *app* neither an app nor a factory. When a task is enqueued, if its function
            does not take the arguments.
        DetachedArgumentError: When a task is enqueued with an ORM instance, a session or a proxy, or hands one on to
            the task that follows it.

    .. versionadded:: 0.1
    """
    _check_huey(huey)
    contexts = _Contexts(app, transactional)
    installed: _Contexts | None = vars(huey).get(_INSTALLED)
    if installed is None:
        _install(huey, contexts)
    else:
        vars(installed).update(vars(contexts))


def enqueue_on_commit(huey: Huey, work: Work) -> Work:
    """Enqueue a task, a group or a chord after the COMMIT of the open transaction, and never if it rolls back.

    The arguments are serialized now: what happens to them later does not reach the task.

    Args:
        huey: The queue.
        work: What ``restock.s(…)`` made, with what follows by ``.then()`` and ``.error()``, a group or a chord.

    Returns:
        *work*, whose ``id`` is the one that is sent: ``huey.result(task.id)`` has its result.

    Raises:
        NoTransactionError: If no transaction is open.
        TypeError: If *huey* is no Huey, *work* is something else, or a task's function does not take the arguments.
        DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
        NoAppError: If a task asks for a transaction, and :func:`init_huey` was not called for *huey*.

    .. versionadded:: 0.1
    """
    _check_huey(huey)
    _refuse_other(work)
    frozen = _freeze(huey, work)
    _check_installed(huey, work)
    send_on_commit(
        _describe(work),
        lambda: huey.enqueue(frozen),
        lambda: _execute_here(huey, frozen),
        "huey.enqueue()",
    )
    return work


def _check_huey(huey: object) -> None:
    if not isinstance(huey, Huey):
        raise TypeError(
            f"'huey' is {huey!r}. Give the Huey instance whose tasks are to run in contexts."
        )


class _Contexts:
    """Makes the contexts for one Huey instance."""

    def __init__(self, app: Flask | Callable[[], Flask], transactional: bool) -> None:
        if not callable(app):  # a Flask app can be called too, by a WSGI server
            raise TypeError(
                f"'app' is {app!r}. Give the Flask application, or a factory without arguments."
            )
        self.app = app
        self.transactional = transactional
        self.lock = threading.Lock()

    def wrap(self, fn: Callable[..., Any], transactional: bool | None = None) -> Callable[..., Any]:
        """*fn* in a new context for each call; the app may be made as late as that."""

        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            wanted = self.transactional if transactional is None else transactional
            return AppContextManager(self._find_app(), transactional=wanted).wrap(fn)(
                *args, **kwargs
            )

        return wrapper

    def _find_app(self) -> Flask:
        with self.lock:
            if not isinstance(self.app, Flask):
                self.app = self.app()
            return self.app


class _Hooks(dict[str, Callable[..., Any]]):
    """Hooks by name, which Huey gets wrapped when it runs them."""

    def __init__(
        self, hooks: Iterable[tuple[str, Callable[..., Any]]], contexts: _Contexts
    ) -> None:
        super().__init__(hooks)
        self._contexts = contexts

    def items(self) -> Any:
        return [(name, self._contexts.wrap(hook)) for name, hook in super().items()]


class _Signal(Signal):  # type: ignore[misc] # Huey has no types
    """The receivers of signals, which are called in contexts."""

    def __init__(self, receivers: dict[str, list[Callable[..., Any]]], contexts: _Contexts) -> None:
        self.receivers = receivers
        self._contexts = contexts

    def send(self, signal: str, task: Task, *args: Any, **kwargs: Any) -> None:
        wrapped = Signal()
        wrapped.receivers = {
            name: [self._contexts.wrap(receiver) for receiver in receivers]
            for name, receivers in self.receivers.items()
        }
        wrapped.send(signal, task, *args, **kwargs)


def _install(huey: Huey, contexts: _Contexts) -> None:
    vars(huey)[_INSTALLED] = contexts
    huey.execute = functools.partial(_execute, contexts, huey.execute)
    # By name: pyright compares the names of the parameters.
    setattr(huey, "enqueue", functools.partial(_enqueue, huey.enqueue))  # noqa: B010
    huey.deserialize_task = functools.partial(_deserialize, huey.deserialize_task)
    for name in _HOOKS:
        setattr(huey, name, _Hooks(getattr(huey, name).items(), contexts))
    huey._signal = _Signal(huey._signal.receivers, contexts)  # noqa: SLF001 - as for the hooks


def _execute(
    contexts: _Contexts, execute: Callable[..., Any], task: Task, *args: Any, **kwargs: Any
) -> Any:
    def run() -> Any:
        value = _refuse_coroutine(task, type(task).execute(task))  # not the one of an earlier try
        if task.on_complete is not None:
            refuse_bound_arguments(
                _describe(task.on_complete), (), {f"result of {task.name}": value}
            )
        return value

    run.__name__ = run.__qualname__ = task.name
    run.__module__ = task.__module__
    task.execute = contexts.wrap(run, getattr(task, "transactional", None))
    return execute(task, *args, **kwargs)


def _execute_here(huey: Huey, work: Any) -> None:
    """Execute *work* now, in this thread; its results are in memory and gone."""
    for task in _tasks(work):
        task.eta = None
    before = huey._immediate, huey.storage  # noqa: SLF001 - set by itself, it would make a new storage
    huey.immediate = True
    try:
        huey.enqueue(work)
    finally:
        huey._immediate, huey.storage = before  # noqa: SLF001 - as above


def _refuse_coroutine(task: Task, value: Any) -> Any:
    if not inspect.iscoroutine(value):
        return value
    value.close()
    raise TypeError(
        f"The task '{task.name}' gave a coroutine, which nobody awaits. Make it a plain function, which may call "
        "'asyncio.run()'."
    )


def _enqueue(enqueue: Callable[..., Any], work: Any) -> Any:
    """Check a task where a program enqueues it; never where a consumer hands it on, which could only lose it."""
    if isinstance(work, Task) and _CHECKED not in vars(work):
        _check_arguments(work)
        _check_call(work)
        _mark(work)
    return enqueue(work)


def _deserialize(deserialize: Callable[..., Task], data: Any) -> Task:
    return _mark(deserialize(data))


def _mark(task: Task) -> Task:
    for each in _parts(task):
        vars(each)[_CHECKED] = True
    return task


def _check_arguments(task: Task) -> None:
    for each in _parts(task):
        refuse_bound_arguments(_describe(each), each.args, each.kwargs)


def _check_call(task: Task) -> None:
    """Only of the first: those that follow get its result as well."""
    fn = inspect.getclosurevars(type(task).execute).nonlocals.get("func")
    if fn is not None:  # None for a class of the user's own
        more = {"task": task} if getattr(task, "context", False) else {}
        refuse_wrong_arguments(_describe(task), fn, task.args, {**task.kwargs, **more})


def _check_installed(huey: Huey, work: Any) -> None:
    if _INSTALLED in vars(huey):
        return
    for task in _tasks(work):
        if getattr(task, "transactional", False):
            raise NoAppError(
                f"The {_describe(task)[4:]} is declared with 'transactional=True', and its Huey was given no app: it "
                "would run without a context and a transaction. Call 'init_huey(huey, app)' here and in the consumer."
            )


def _tasks(work: Any) -> Iterable[Task]:
    """Each task in *work*."""
    if isinstance(work, Task):
        yield from _parts(work)
        return
    for each in (*work.tasks, work.callback) if isinstance(work, chord) else work.tasks:
        yield from _tasks(each)


def _parts(task: Task | None) -> Iterable[Task]:
    """*task*, and what goes with its message: what follows it, and the end of its chord."""
    if task is None:
        return
    yield task
    yield from _parts(task.on_complete)
    yield from _parts(task.on_error)
    if task.chord_config is not None:
        yield from _parts(task.chord_config.callback)


def _refuse_other(work: object) -> None:
    if isinstance(work, (Task, group, chord)):
        return
    hint = ""
    if isinstance(work, TaskWrapper):
        hint = " Call its '.s(…)' with the arguments."
    if isinstance(work, (Result, ResultGroup)):
        hint = " That was enqueued already, before the COMMIT: put '.s' between the task and its arguments."
    raise TypeError(
        f"'enqueue_on_commit' was given {work!r}, and takes a task with its arguments, such as 'restock.s(1)', a group "
        f"or a chord.{hint}"
    )


def _freeze(huey: Huey, work: Any) -> Any:
    if isinstance(work, group):
        return group([_freeze(huey, each) for each in work.tasks])
    if isinstance(work, chord):
        return chord([_freeze(huey, each) for each in work.tasks], _copy(huey, work.callback))
    _check_call(work)
    return _copy(huey, work)


def _copy(huey: Huey, task: Task) -> Task:
    _check_arguments(task)
    return _mark(huey.deserialize_task(huey.serialize_task(task)))


def _describe(work: Any) -> str:
    if isinstance(work, Task):
        call = call_text(f"{work.__module__}.{work.name}", work.args, work.kwargs)
        return f"the Huey task '{call}' ({work.id})"
    parts = (*work.tasks, work.callback) if isinstance(work, chord) else work.tasks
    return f"the Huey {type(work).__name__} of {', '.join(map(_describe, parts))}"
