"""What stands in the place of a function of the package while a test is watched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["swapped"]


@contextlib.contextmanager
def swapped(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Let ``make(stock)`` stand for the function *name* of *owner*, a class or a module, inside the ``with`` block."""
    stock = vars(owner)[name]
    setattr(owner, name, make(stock))
    try:
        yield
    finally:
        setattr(owner, name, stock)
