"""The same for coroutine functions: the phases are led by blocking code that waits for them in their task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from .._async.homes import TaskHome, home_of_task
from .._async.waiting import in_task, wait_for
from .._core.places import outside
from .._core.sharing import is_at_hand
from .._functions import is_coroutine_function
from .._session import SessionManager
from .._unit import Unit
from .running import Phases

__all__ = ["run_awaited"]

T = TypeVar("T")
R = TypeVar("R")


async def run_awaited(
    find_unit: Callable[[], Unit], prepare: Any, execute: Any, record: Any
) -> Any:
    """Do what :func:`flask_safesession.run_in_phases` says of coroutine functions."""

    def run() -> Any:
        return AwaitedPhases(find_unit(), prepare, execute, record).run()

    return await in_task(run)


class AwaitedPhases(Phases[T, R]):
    """A job whose functions are awaited by the task that runs this where it may wait."""

    home: TaskHome

    def find_home(self) -> TaskHome:
        return home_of_task(self.unit, outside().place)

    def scope(self, phase: Callable[..., Any]) -> AbstractContextManager[Session]:
        return _AwaitedScope(self.manager(phase), phase)

    def call(self, phase: Callable[..., Any], *args: Any) -> Any:
        given = phase(*args)
        return wait_for(given) if is_coroutine_function(phase) else given

    def sessions(self) -> Iterable[Session]:
        others = self.unit.sessions.values()  # also those that other tasks of the context use
        return [*self.home.sessions.values(), *(each for each in others if is_at_hand(each))]

    def abandon(self, error: BaseException) -> None:
        self.home.leave_all(error)


class _AwaitedScope:
    """``async with`` as ``with``; the session is the kind that *phase* takes."""

    def __init__(self, manager: SessionManager, phase: Callable[..., Any]) -> None:
        self._manager = manager
        self._is_awaited = is_coroutine_function(phase)

    def __enter__(self) -> Any:
        session = wait_for(self._manager.__aenter__())
        return session if self._is_awaited else session.sync_session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        wait_for(self._manager.__aexit__(kind, error, traceback))
