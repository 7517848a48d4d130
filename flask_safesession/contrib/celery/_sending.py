"""Messages that are made now and sent after the COMMIT."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import Task, signature
from celery.canvas import Signature, _chain, chord, group, maybe_signature
from celery.utils import uuid
from kombu import serialization

from .._arguments import refuse_bound_arguments
from .._messages import call_text, send_on_commit

__all__ = ["SafeTask", "apply_async_on_commit", "refuse_bound"]

_FOLLOWING: Final = ("link", "link_error", "chain", "chord")
# What Celery puts into the message beside the arguments.
_SENT_OPTIONS: Final = ("headers", *_FOLLOWING)
_registry: Final[Any] = serialization.registry


class SafeTask(Task):  # type: ignore[misc] # Celery ships no types
    """What :func:`init_celery` gives to every task.

    As a base class, ``@celery.task(base=SafeTask)`` or ``Celery(task_cls=SafeTask)``, it makes that known to type
    checkers and editors.

    Attributes:
        transactional: Run the body in one scope; None leaves it to ``SAFESESSION_CELERY_TRANSACTIONAL``.

    .. versionadded:: 0.1
    """

    transactional: bool | None = None

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Send the task after the outermost COMMIT of the open transaction, and never if it rolls back.

        The arguments are serialised now: what is changed later is not sent.

        Raises:
            NoTransactionError: If no transaction is open.
            DetachedArgumentError: If an argument is an ORM instance.
            kombu.exceptions.EncodeError: If an argument cannot be serialised.
            TypeError: If the task does not take these arguments.
        """
        _send_task(self, args, kwargs, {}, "delay()")

    def apply_async_on_commit(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """As :meth:`delay_on_commit`, with the options of Celery's ``apply_async()``."""
        _send_task(self, tuple(args or ()), dict(kwargs or {}), options, "apply_async()")


def apply_async_on_commit(
    sig: Any,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Send a signature, chain, group or chord after the COMMIT; see :meth:`SafeTask.delay_on_commit`.

    Args:
        sig: The signature, which is serialised now as well.
        args: More positional arguments, as for its ``apply_async()``.
        kwargs: More keyword arguments.
        options: The other arguments of ``apply_async()``.

    Raises:
        NoTransactionError: If no transaction is open.
        DetachedArgumentError: If an argument is an ORM instance.
        kombu.exceptions.EncodeError: If an argument cannot be serialised.
        TypeError: If *sig* is no signature, or a task that begins it does not take its arguments.

    .. versionadded:: 0.1
    """
    if not isinstance(sig, Signature):
        raise TypeError(
            f"'apply_async_on_commit' was given {sig!r}. Give a signature, such as 'restock.s(1)', a chain, a group "
            "or a chord; a task has a method of this name."
        )
    values = (sig, tuple(args or ()), dict(kwargs or {}))
    more = call_text(" with ", values[1], values[2]) if args or kwargs else ""
    text = f"the Celery signature '{sig!r:.1000}'{more}"
    refuse_bound_arguments(text, (dict(sig), *values[1]), values[2])
    _check_calls(sig, values[1], values[2])
    (plain, *given), options = _frozen(text, values, options, sig.app.conf.task_serializer)
    frozen: Any = signature(plain, app=sig.app)
    _send(text, frozen, given, options, "apply_async()")


def _check_calls(sig: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Check the tasks that are sent at once; what follows them gets their results as well."""
    kind = type(sig)
    tasks = sig.tasks if issubclass(kind, (group, chord, _chain)) else ()
    for each in tasks[:1] if issubclass(kind, _chain) else tasks:
        _check_calls(maybe_signature(each, sig.app), args, kwargs)
    task = sig.app.tasks.get(sig.task)
    if kind is Signature and task is not None:
        more: Any = ((), {}) if sig.immutable else (args, kwargs)
        _check_call(task, (*more[0], *sig.args), {**sig.kwargs, **more[1]})


def _check_call(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if task.typing and hasattr(task, "__header__"):
        task.__header__(*args, **kwargs)


def refuse_bound(
    task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Refuse what belongs to the sender in a message of *task*, and in what follows it; before the serialiser.

    Raises:
        DetachedArgumentError: If there is such an object.
    """
    following = {name: options[name] for name in _FOLLOWING if options.get(name)}
    refuse_bound_arguments(f"the Celery task '{task.name}'", args, {**kwargs, **following})


def _send_task(task: Any, args: Any, kwargs: Any, options: dict[str, Any], call: str) -> None:
    options["task_id"] = options.get("task_id") or uuid()
    text = (
        f"the Celery task '{_described(task.name, args, kwargs, options)}' ({options['task_id']})"
    )
    serializer = options.get("serializer") or task.serializer
    _check_call(task, args, kwargs)
    refuse_bound(task, args, kwargs, options)
    given, options = _frozen(text, (args, kwargs), options, serializer)
    _send(text, task, given, options, call)


def _send(text: str, work: Any, given: Any, options: Mapping[str, Any], at_once: str) -> None:
    send, run = (
        functools.partial(each, *given, **options) for each in (work.apply_async, work.apply)
    )
    send_on_commit(text, send, run, at_once)


def _described(name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> str:
    """The call; what ``argsrepr`` or ``kwargsrepr`` hide from the log of a worker is no more to be seen here."""
    hidden = [options[each] for each in ("argsrepr", "kwargsrepr") if options.get(each)]
    return f"{name}({', '.join(map(str, hidden))})" if hidden else call_text(name, args, kwargs)


def _frozen(text: str, values: Any, options: dict[str, Any], serializer: str) -> tuple[Any, Any]:
    """What the worker would get of *values*, and the options likewise, as Celery does it for an eager task."""
    sent = {name: options[name] for name in _SENT_OPTIONS if name in options}
    content_type, encoding, data = _registry.dumps(
        (values, sent), options.get("serializer") or serializer
    )
    values, sent = _registry.loads(data, content_type, encoding, accept=[content_type])
    return values, {**options, **sent}
