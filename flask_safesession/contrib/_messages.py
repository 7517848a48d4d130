"""A message that is sent to a queue after the COMMIT."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from flask_safesession import on_commit
from flask_safesession._jobs.queued import QueuedJob
from flask_safesession.errors import NoTransactionError

__all__ = ["call_text", "send_on_commit"]

_ITEMS: Final = 100
_CHARACTERS: Final = 1000


def call_text(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """``name(1, by=10)``: what a message does, as somebody would write it who sends it again by hand."""
    show = _shortener().repr
    given = [*map(show, args), *(f"{key}={show(value)}" for key, value in kwargs.items())]
    return f"{name}({', '.join(given)})"


def _shortener() -> reprlib.Repr:
    """Whole values for a log line, unless they are huge; one whose own ``repr()`` fails is named by its class."""
    short = reprlib.Repr()
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = short.maxfrozenset = _ITEMS
    short.maxstring = short.maxother = short.maxlong = _CHARACTERS
    return short


def send_on_commit(
    text: str, send: Callable[[], object], run: Callable[[], object], at_once: str
) -> None:
    """Call *send* after the outermost COMMIT of the open transaction, and never if it rolls back.

    Args:
        text: What is sent, for messages: ``"the Celery task 'shop.restock'"``.
        send: Sends it. What it raises is reported under *text*; the transaction stands.
        run: Does what a worker would do with it, for :func:`flask_safesession.testing.inline_jobs`: there it is called
            in place of *send*, in a new application context.
        at_once: The call that sends it without a transaction, for the message of the error.

    Raises:
        NoTransactionError: If no transaction is open.
    """
    try:
        on_commit(QueuedJob(text, send, run))
    except NoTransactionError:
        raise NoTransactionError(
            f"{text[0].upper()}{text[1:]} was to be sent after the commit while no transaction is open, so it would "
            "never go out. Call it inside 'with session_manager():' or a function under '@transactional', or send it "
            f"at once with '{at_once}'."
        ) from None
