"""``handoff()``, and who waits for an ``async def`` view."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from flask import Flask
from sqlalchemy.orm import Session, scoped_session

from . import errors
from ._core.ledger import find_ledger
from ._core.places import here
from ._core.runners import current_runner, principal, running_loop, standing_in
from ._core.sharing import give_away

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["handoff", "wire_async"]


def handoff(session: Session | scoped_session[Any] | AsyncSession) -> None:
    """Give a session to the thread, greenlet or task that uses it next.

    From now on the caller is refused, until somebody hands the session back. The end of its application context leaves
    the session alone: whoever has it then closes it.

    Args:
        session: The session, or ``db.session``.

    Raises:
        SessionSharedError: If another thread, greenlet or task has the session.
        TransactionActiveError: If a scope owns its transaction.
        TypeError: If it is no session that a ``SafeSession`` guards.

    .. versionadded:: 0.1
    """
    found = _session(session)
    ledger = None if found is None else find_ledger(found)
    if found is None or ledger is None:
        raise TypeError(
            f"'session' is {session!r}, which no SafeSession guards. Give a session of the app, such as 'db.session', "
            "or guard its factory with 'safe.include(factory)'."
        )
    if ledger.owner is not None:
        raise errors.TransactionActiveError(
            f"{here(1)} called 'handoff()' inside the transaction that {ledger.owner.owner_text}, which ends in this "
            "thread or task. Call it outside of scopes, or let the other one open a scope of its own."
        )
    give_away(found)


def _session(given: Any) -> Session | None:
    """The session itself, of what may be a scoped or an asynchronous one, whose classes need greenlet."""
    found = given() if hasattr(given, "registry") else given
    found = getattr(found, "sync_session", found)
    return found if isinstance(found, Session) else None


def wire_async(app: Flask) -> None:
    """Let the task of an ``async def`` view use the sessions of the thread that waits for it."""
    convert = app.async_to_sync

    def async_to_sync(func: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        @functools.wraps(func)
        async def body(waiting: Any, /, *args: Any, **kwargs: Any) -> Any:
            with standing_in(waiting):
                return await func(*args, **kwargs)

        run = convert(body)

        @functools.wraps(func)
        def call(*args: Any, **kwargs: Any) -> Any:
            if running_loop() is not None and func.__module__.startswith("flask_sqlalchemy_lite"):
                raise _lite_has_to_wait()
            return run(principal(current_runner()), *args, **kwargs)

        return call

    app.async_to_sync = async_to_sync  # type: ignore[method-assign]


def _lite_has_to_wait() -> RuntimeError:
    return RuntimeError(
        "An application context ended where an event loop runs. Flask-SQLAlchemy-Lite closes its async sessions there "
        "by a coroutine, for which nobody can wait. With it, use async sessions in async views only, whose context "
        "ends outside of their loop; or use Flask-SQLAlchemy."
    )
