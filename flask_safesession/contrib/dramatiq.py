"""Dramatiq: each message has an application context and a session of its own, and goes out after the COMMIT."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from types import MethodType
from typing import Any, Final, TypeVar

from dramatiq import Actor, Broker, Message, get_broker, group, pipeline
from dramatiq.asyncio import async_to_sync
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, MiddlewareError
from flask import Flask

from flask_safesession import AppContextManager, errors

from ._arguments import refuse_bound_arguments, refuse_wrong_arguments
from ._messages import call_text, send_on_commit

__all__ = ["ActorRefusedError", "SafeSessionMiddleware", "enqueue_on_commit"]

Work = TypeVar("Work", bound="Message[Any] | group | pipeline")

_processed: Final[ContextVar[str | None]] = ContextVar("safesession_dramatiq", default=None)


class ActorRefusedError(MiddlewareError, TypeError):
    """An actor was declared with options that ``SafeSessionMiddleware`` cannot follow.

    .. versionadded:: 0.1
    """


class SafeSessionMiddleware(Middleware):
    """Run each message in a new application context with a session of its own.

    The context begins and ends around the actor's function alone, so that the place among the other middleware does
    not matter: none of their hooks sees the actor's session, and ``Retries`` sees a COMMIT that failed. An
    ``async def`` actor has its context in a task of its own, on the event loop of Dramatiq's ``AsyncIO`` middleware.

    Args:
        app: The application; None where :meth:`init_app` gives it later.
        transactional: Run each actor in one transaction, committed before the message is acknowledged. An actor says
            otherwise for itself with ``@dramatiq.actor(transactional=…)``.

    Raises:
        TypeError: If *app* is no Flask app, or *transactional* neither True nor False.
        ActorRefusedError: If the ``transactional`` of an actor is neither True nor False: when it is declared, or the
            middleware is added.
        NoAppError: When a message is processed, if no app was given.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask | None = None, *, transactional: bool = False) -> None:
        AppContextManager(transactional=transactional)  # checks it
        self.transactional = transactional
        self._contexts: dict[bool, AppContextManager] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give the application in whose contexts the messages run; the last one counts.

        Raises:
            TypeError: If *app* is no Flask app.

        .. versionadded:: 0.1
        """
        both = (False, True)
        self._contexts = {each: AppContextManager(app, transactional=each) for each in both}

    @property
    def actor_options(self) -> set[str]:
        """The options that this middleware adds to ``@dramatiq.actor``."""
        return {"transactional"}

    def before_declare_actor(self, broker: Broker, actor: Actor[..., Any]) -> None:
        """Refuse what cannot run: of the hooks of a declaration, this one may raise."""
        _check_actor(actor)

    def after_declare_actor(self, broker: Broker, actor: Actor[..., Any]) -> None:
        """Take over an actor; those that were declared before the middleware was added come here as well."""
        _check_actor(actor)
        fn = actor.fn.__wrapped__ if isinstance(actor.fn, _ActorFunction) else actor.fn
        actor.fn = _ActorFunction(fn, actor, self)
        for name, method in _METHODS.items():
            setattr(actor, name, MethodType(method, actor))

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Note that the next call of the actor is this message."""
        _processed.set(message.actor_name)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Forget the message, whose actor may not have been called."""
        _processed.set(None)

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget the message, whose actor was not called."""
        _processed.set(None)

    def in_context(self, actor: Actor[..., Any], fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return *fn* with a new application context around it, and a transaction where *actor* is transactional.

        Raises:
            NoAppError: If no app was given.
        """
        if not self._contexts:
            raise errors.NoAppError(
                f"A worker took a message of '{actor.actor_name}', and its 'SafeSessionMiddleware' has no app. Call "
                "'middleware.init_app(app)' in the module that the worker imports, or give the app when it is made."
            )
        contexts = self._contexts[actor.options.get("transactional", self.transactional)]
        body = _body(fn)
        return contexts.wrap(fn) if body is fn else async_to_sync(contexts.wrap(body))


class _ActorFunction:
    """The function of an actor: a message of the worker has a context, and a plain call is a plain call."""

    __wrapped__: Callable[..., Any]

    def __init__(
        self, fn: Callable[..., Any], actor: Actor[..., Any], middleware: SafeSessionMiddleware
    ) -> None:
        functools.update_wrapper(self, fn, updated=())
        self._actor = actor
        self._middleware = middleware

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fn = self.__wrapped__
        if _processed.get() == self._actor.actor_name:
            _processed.set(None)  # what the actor itself calls is not the message
            fn = self._middleware.in_context(self._actor, fn)
        return fn(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def enqueue_on_commit(
    work: Work, *, delay: int | timedelta | None = None, broker: Broker | None = None
) -> Work:
    """Enqueue a message, a group or a pipeline after the COMMIT of the open transaction, and never if it rolls back.

    The arguments are encoded now: what happens to them later does not reach the message.

    Args:
        work: What ``actor.message(…)``, ``dramatiq.group(…)`` or ``dramatiq.pipeline(…)`` made.
        delay: Milliseconds, or a timedelta, for which the message waits in the queue at least.
        broker: The broker of a message; None takes the global one. Groups and pipelines know theirs.

    Returns:
        *work*, whose ``message_id`` is the one that is sent.

    Raises:
        NoTransactionError: If no transaction is open.
        DetachedArgumentError: If an argument is or holds an ORM instance, a session or a proxy.
        TypeError: If *work* is something else, an argument cannot be encoded, or an actor that is known here does not
            take those of a message that goes out at once.

    .. versionadded:: 0.1
    """
    frozen = _freeze(work)
    wait = int(delay.total_seconds() * 1000) if isinstance(delay, timedelta) else delay
    if isinstance(frozen, Message):
        target = get_broker() if broker is None else broker
        send: Callable[[], object] = functools.partial(target.enqueue, frozen, delay=wait)
    else:
        target, send = frozen.broker, functools.partial(frozen.run, delay=wait)
    _check_calls(target, frozen)
    run = functools.partial(_process_here, target, frozen)
    send_on_commit(_describe(work), send, run, "send()")
    return work


def _send_on_commit(actor: Actor[..., Any], *args: Any, **kwargs: Any) -> Message[Any]:
    """Send a message as ``send`` does, after the COMMIT of the open transaction."""
    return _send_with_options_on_commit(actor, args=args, kwargs=kwargs)


def _send_with_options_on_commit(
    actor: Actor[..., Any],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    delay: int | timedelta | None = None,
    **options: Any,
) -> Message[Any]:
    """Send a message as ``send_with_options`` does, after the COMMIT of the open transaction."""
    given = dict(kwargs or {})
    message = actor.message_with_options(args=tuple(args), kwargs=given, **options)
    return enqueue_on_commit(message, delay=delay, broker=actor.broker)


def _message_with_options(
    actor: Actor[..., Any],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Message[Any]:
    """Make a message as Dramatiq does, which sends each with it: no retry in a worker comes here."""
    given = dict(kwargs or {})
    refuse_bound_arguments(f"the Dramatiq message '{actor.actor_name}'", args, given)
    return type(actor).message_with_options(actor, args=tuple(args), kwargs=given, **options)


def _send_with_options(
    actor: Actor[..., Any],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Message[Any]:
    """Send a message as Dramatiq does."""
    given = dict(kwargs or {})
    _check_call(actor, args, given)
    return type(actor).send_with_options(actor, args=tuple(args), kwargs=given, **options)


_METHODS: Final[dict[str, Callable[..., Message[Any]]]] = {
    "message_with_options": _message_with_options,
    "send_with_options": _send_with_options,
    "send_on_commit": _send_on_commit,
    "send_with_options_on_commit": _send_with_options_on_commit,
}


def _check_call(actor: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    text = f"the Dramatiq message '{actor.actor_name}'"
    refuse_wrong_arguments(text, _body(actor.fn.__wrapped__), args, kwargs)


def _check_calls(broker: Broker, work: Any) -> None:
    """Of a pipeline only the first: those that follow get its result as well."""
    if isinstance(work, Message):
        actor = broker.actors.get(work.actor_name)
        if actor is not None and isinstance(actor.fn, _ActorFunction):
            _check_call(actor, work.args, work.kwargs)
        return
    for each in work.messages[:1] if isinstance(work, pipeline) else work.children:
        _check_calls(broker, each)


def _body(fn: Callable[..., Any]) -> Callable[..., Any]:
    """What was declared: *fn*, or the coroutine function that it waits for, if Dramatiq has made it."""
    is_bridge = getattr(fn, "__globals__", None) is async_to_sync.__globals__
    return getattr(fn, "__wrapped__", fn) if is_bridge else fn


def _freeze(work: object) -> Any:
    if isinstance(work, Message):
        refuse_bound_arguments(_describe(work), work.args, work.kwargs)
        return Message.decode(work.encode())
    frozen: Any = copy.copy(work)
    if isinstance(work, pipeline):
        frozen.messages = [_freeze(each) for each in work.messages]
        return frozen
    if isinstance(work, group):
        frozen.children = [_freeze(each) for each in work.children]
        frozen.completion_callbacks = copy.deepcopy(work.completion_callbacks)
        return frozen
    raise TypeError(
        f"'enqueue_on_commit' was given {work!r}. Give it a message, as 'actor.message(…)' makes it, a group or a "
        "pipeline."
    )


def _process_here(broker: Broker, work: Any) -> None:
    """Process *work* now, in this thread, as a worker without other middleware does."""
    if isinstance(work, Message):
        _process_message(broker, work)
    elif isinstance(work, pipeline):
        _process_message(broker, work.messages[0])  # the others follow it
    else:
        for each in (*work.children, *(Message(**each) for each in work.completion_callbacks)):
            _process_here(broker, each)


def _process_message(broker: Broker, message: Message[Any]) -> None:
    actor = broker.get_actor(message.actor_name)
    _processed.set(message.actor_name)
    try:
        result = actor(*message.args, **message.kwargs)
    except Exception:
        broker.logger.exception("Failed to process %s.", _describe(message))
        return
    if "pipe_target" in message.options:
        following: Message[Any] = Message(**message.options["pipe_target"])
        is_alone = any(each.options.get("pipe_ignore") for each in (following, actor))
        more = () if is_alone else (result,)
        _process_message(broker, following.copy(args=(*following.args, *more)))


def _describe(work: Message[Any] | group | pipeline) -> str:
    if isinstance(work, Message):
        call = call_text(work.actor_name, work.args, work.kwargs)
        return f"the Dramatiq message '{call}' ({work.message_id})"
    parts = work.messages if isinstance(work, pipeline) else work.children
    return f"the Dramatiq {type(work).__name__} of {len(parts)}: {', '.join(map(_describe, parts))}"


def _check_actor(actor: Actor[..., Any]) -> None:
    try:
        AppContextManager(transactional=actor.options.get("transactional", False))
    except TypeError as error:
        raise ActorRefusedError(f"The actor '{actor.actor_name}': {error}") from None
