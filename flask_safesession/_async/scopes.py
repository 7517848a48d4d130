"""The asynchronous half of ``session_manager()``: the core's own scopes, run where SQLAlchemy may wait."""

from __future__ import annotations

import asyncio
import sys
from asyncio import CancelledError
from collections.abc import Callable
from types import FrameType

from greenlet import getcurrent
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import greenlet_spawn

from .. import errors
from .._core.ledger import ledger_of
from .._core.notes import add_note
from .._core.options import ScopeOptions
from .._core.places import AWAITED_BY, Place, beyond
from .._core.propagation import open_frame
from .._core.runners import described, own_task, standing_in
from .._core.scope import Anchor, Frame, JoinedScope
from .._unit import Unit
from .homes import TaskHome, home_of_task

__all__ = ["Entered", "enter"]

_PAUSE = 0.01  # seconds

Enter = Callable[[TaskHome, ScopeOptions, Place], Frame]


async def enter(
    unit: Unit, options: ScopeOptions, place: Place, enter_frame: Enter = open_frame
) -> Entered:
    """Open what ``async with session_manager(**options)`` asks for in the task that calls this, at *place*."""
    home = home_of_task(unit, place)
    home.entered()
    try:
        frame = await greenlet_spawn(enter_frame, home, options, place)
    except BaseException as error:
        home.left(error)
        raise
    return Entered(home, frame, place)


class Entered:
    """A block that a task is in."""

    __slots__ = ("_cancels", "_frame", "_home", "_place")

    def __init__(self, home: TaskHome, frame: Frame, place: Place) -> None:
        self._cancels = _cancels()
        self._home = home
        self._frame = frame
        self._place = place

    @property
    def session(self) -> AsyncSession:
        """What the block works with."""
        return self._home.wrapper_of(self._frame.session)

    async def leave(self, error: BaseException | None) -> None:
        """End it as the block ended; see :meth:`flask_safesession._core.scope.Frame.leave`.

        Raises:
            CancelledError: If *error* came in its place.
            TransactionActiveError: If another task than the one that entered leaves it.
        """
        mistake = self._mistake()
        cancelled = self._hidden_cancellation(error)
        if isinstance(self._frame, JoinedScope) and self._frame.options.timeout is None:
            self._leave(error or mistake)  # waits for nothing
        else:
            frame = beyond(sys._getframe())
            await self._run_to_end(error or mistake, frame)
        if mistake is not None and error is not None:
            add_note(error, str(mistake))
        elif mistake is not None:
            raise mistake
        if cancelled is not None:
            raise cancelled

    async def _run_to_end(self, error: BaseException | None, frame: FrameType) -> None:
        """Leave in a task of its own, which nobody cancels once the outcome is on its way."""
        task = asyncio.create_task(self._stand_in(error, frame))
        cancelled: CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait((task,))
            except CancelledError as cancellation:
                if cancelled is None and error is None and self._may_be_undone():
                    task.cancel()
                cancelled = cancellation
        failure = task.result()
        if cancelled is not None:
            if isinstance(failure, Exception):
                add_note(cancelled, f"{type(failure).__name__}: {failure}")
            raise cancelled
        if failure is not None:
            raise failure

    async def _stand_in(
        self, error: BaseException | None, frame: FrameType
    ) -> BaseException | None:
        """What the end raised: a task that itself raises ``KeyboardInterrupt`` stops its event loop."""
        try:
            await self._guests_are_gone()
            with standing_in(self._home.runner):
                await greenlet_spawn(self._leave_awaited, error, frame)
        except BaseException as failure:  # noqa: BLE001 - who waits raises it
            return failure
        return None

    async def _guests_are_gone(self) -> None:
        """Where tasks are let use the session of another, close nothing under a statement of theirs."""
        ledger = ledger_of(self._frame.session)
        while any(not each.dead for each in ledger.guests):  # noqa: ASYNC110 - nobody tells when it ends
            await asyncio.sleep(_PAUSE)
        ledger.guests = []

    def _leave_awaited(self, error: BaseException | None, frame: FrameType) -> None:
        setattr(getcurrent(), AWAITED_BY, frame)
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        try:
            self._frame.leave(error)
        finally:
            self._home.left(error)

    def _may_be_undone(self) -> bool:
        """Whether no COMMIT is under way, and no rollback either."""
        frame = self._frame
        return isinstance(frame, Anchor) and frame.outcome is None and not frame.root.ledger.sent

    def _hidden_cancellation(self, error: BaseException | None) -> CancelledError | None:
        """The cancellation in whose place SQLAlchemy raised *error*, which it met while it cleaned up."""
        found = error
        while isinstance(found, SQLAlchemyError):
            found = found.__cause__ or found.__context__
        if isinstance(found, CancelledError):
            return None if found is error else found
        replaced = isinstance(error, SQLAlchemyError) and _cancels() > self._cancels
        return CancelledError() if replaced else None

    def _mistake(self) -> errors.TransactionActiveError | None:
        """What is to be said where another task leaves the block."""
        owner = self._home.runner()
        if own_task() is owner:
            return None
        return errors.TransactionActiveError(
            f"The scope of {self._place} was entered in {described(self._home.runner)} and left in another task, so it "
            "was rolled back. Enter and leave 'async with session_manager():' in one task; a fixture or generator that "
            "waits in between may be resumed by another."
        )


def _cancels() -> int:
    """How often the current task was asked to end; Python 3.10 does not count."""
    count: Callable[[], int] | None = getattr(asyncio.current_task(), "cancelling", None)
    return 0 if count is None else count()
