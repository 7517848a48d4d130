"""Work that is shared with a copy of this process, which knows all that this one has learnt."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

__all__ = ["shared"]

T = TypeVar("T")


def shared(mine: Callable[[], T], others: Callable[[], T]) -> tuple[T, T]:
    """Return what two functions give; the second runs in a copy of this process where one can be made safely.

    Args:
        mine: Runs here, meanwhile.
        others: Gives something that can be pickled. Where its copy dies, as for want of memory, it runs here as well.
    """
    # Elsewhere a copy knows nothing, or is not safe; nor is one of a process with several threads.
    if sys.platform != "linux" or threading.active_count() > 1:
        return mine(), others()
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    copy = context.Process(target=_send, args=(others, there), daemon=True)
    copy.start()
    there.close()
    try:
        first = mine()
        try:
            second: T = here.recv()
        except EOFError:
            second = others()
    finally:
        copy.kill()
        copy.join()
        here.close()
    return first, second


def _send(others: Callable[[], object], there: Connection) -> None:
    there.send(others())
