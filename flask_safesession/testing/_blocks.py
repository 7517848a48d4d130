"""The asynchronous scopes that a test enters and never leaves: when it is over, their tasks are gone."""

from __future__ import annotations

import contextlib
import weakref
from asyncio import Task
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from .._core.runners import own_task
from .._core.scope import Scope
from .._session import SessionManager, current_scope
from .._unit import Unit
from ._swapping import swapped

__all__ = ["BlockWatch", "open_scopes", "still_open"]


class _Block(NamedTuple):
    task: weakref.ref[Task[Any]]
    told: str | None

    @property
    def is_lost(self) -> bool:
        """Whether nobody is there any more who could leave it."""
        task = self.task()
        return task is None or task.done()


class BlockWatch:
    """Sees who enters ``async with session_manager():``, and who leaves it; it keeps none of them alive."""

    def __init__(self) -> None:
        self._open: dict[int, list[_Block]] = {}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look inside the ``with`` block."""
        with (
            swapped(SessionManager, "__aenter__", self._entering),
            swapped(SessionManager, "__aexit__", self._leaving),
        ):
            yield

    def report(self) -> Iterator[str]:
        """A sentence for each that was never left."""
        for blocks in list(self._open.values()):
            for block in blocks:
                if block.told is not None and block.is_lost:
                    yield block.told

    def _entering(self, stock: Any) -> Any:
        async def enter(manager: SessionManager) -> Any:
            session = await stock(manager)
            scope, task = current_scope(), own_task()
            told = None if scope is None else still_open(scope)  # some propagations open none
            # One that was collected and another one may have the same address: the last one is alive.
            self._open.setdefault(id(manager), []).append(
                _Block(weakref.ref(cast(Any, task)), told)
            )
            return session

        return enter

    def _leaving(self, stock: Any) -> Any:
        async def leave(manager: SessionManager, *error: Any) -> None:
            try:
                await stock(manager, *error)
            finally:
                if blocks := self._open.get(id(manager)):  # it was entered while somebody looked
                    blocks.pop()

        return leave


def open_scopes(unit: Unit | None) -> set[Scope]:
    """The innermost scopes of *unit*, and those of its tasks."""
    if unit is None:
        return set()
    own = [] if unit.scope is None else [unit.scope]
    return {*own, *(unit.tasks.scopes() if unit.tasks else ())}


def still_open(scope: Scope) -> str:
    """What is told about *scope*."""
    return f"the scope '{scope.name}' ({scope.place.where}) is still open"
