"""What stands in the place of a function of the package while a test is watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["swapped"]


class swapped:  # noqa: N801 - it is used like a function; as one it would cost each test three times as much
    """Let ``make(stock)`` stand for the function *name* of *owner*, a class or a module, inside the ``with`` block."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self._owner, self._name, self._make = owner, name, make

    def __enter__(self) -> None:
        self._stock = vars(self._owner)[self._name]
        setattr(self._owner, self._name, self._make(self._stock))

    def __exit__(self, *_: object) -> None:
        setattr(self._owner, self._name, self._stock)
