"""Blocking code of this package in a coroutine: it runs where SQLAlchemy may wait, and waits for coroutines too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.util import await_only, greenlet_spawn
from typing_extensions import ParamSpec

__all__ = ["awaiting", "in_task", "pause", "wait_for"]

P = ParamSpec("P")
T = TypeVar("T")

in_task = greenlet_spawn
"""Runs a blocking function in the task that awaits it; what it waits for lets the event loop go on."""

wait_for = await_only
"""What an awaitable gives, inside of :func:`in_task`; it is awaited by the task itself."""


def pause(seconds: float) -> None:
    """As :func:`time.sleep`, inside of :func:`in_task`; a cancellation ends it."""
    wait_for(asyncio.sleep(seconds))


def awaiting(fn: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """*fn* as a blocking function, inside of :func:`in_task`."""

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return wait_for(fn(*args, **kwargs))

    return call
