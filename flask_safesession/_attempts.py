"""``attempts()``: the whole transaction once more, each time with a session of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypedDict

from sqlalchemy.orm import Session
from typing_extensions import Unpack

from . import errors
from ._core.options import ScopeOptions, make_options
from ._core.places import Place, here
from ._core.propagation import open_frame
from ._core.retry import Retry, RetryPolicy, make_policy
from ._core.scope import Frame
from ._tries import TriedUnit, is_inside
from ._unit import Unit, current_unit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from ._async.scopes import Entered

__all__ = ["AsyncAttempt", "Attempt", "AttemptOptions", "Attempts", "attempts", "make_attempts"]


class AttemptOptions(TypedDict, total=False):
    """The arguments of :func:`attempts` that say what its scopes are."""

    read_only: bool
    isolation_level: str | None
    timeout: float | None
    name: str | None


def attempts(policy: Retry = None, **options: Unpack[AttemptOptions]) -> Attempts:
    """Try a block of code again, the whole transaction and its COMMIT, after a fault that a new try can mend.

    ``for attempt in attempts(): with attempt as session: …`` opens a scope for each try. The first try that commits
    is the last; an error that is not worth another one, or comes in the last, leaves the ``with`` block, with a note of
    every try. Each try has a session and a connection of its own, hooks of failed tries are dropped, and no connection
    is held in between. Inside another scope there is one try, which joins it: the outermost one is tried again.

    In a coroutine write ``async for attempt in attempts(): async with attempt as session: …``; the event loop goes on
    during a wait, and a cancellation ends it.

    A COMMIT whose reply was lost is never tried again.

    Args:
        policy: A :class:`RetryPolicy`, or a number of tries; the default policy if None.
        options: ``read_only``, ``isolation_level``, ``timeout`` and ``name``, as for :func:`session_manager`.

    Returns:
        An iterator over the tries, and an asynchronous one.

    Raises:
        ValueError: If the number of tries or an option is wrong.
        TypeError: If *policy* is of another kind.
        TransactionActiveError: At the first try, if the context holds changes that nobody committed.

    .. versionadded:: 0.1
    """
    return make_attempts(policy, options, here(1), current_unit)


def make_attempts(
    policy: Retry, options: AttemptOptions, place: Place, find_unit: Callable[[], Unit]
) -> Attempts:
    """The tries that :func:`attempts` asks for at *place*."""
    wanted = make_policy(True if policy is None else policy) or RetryPolicy(attempts=1)
    return Attempts(wanted, make_options(**options), place, find_unit)


class Attempts(Iterator["Attempt"], AsyncIterator["AsyncAttempt"]):
    """The tries of one ``for`` or ``async for`` loop."""

    def __init__(
        self, policy: RetryPolicy, options: ScopeOptions, place: Place, find: Callable[[], Unit]
    ) -> None:
        self._policy = policy
        self._options = options
        self._place = place
        self._find_unit = find
        self._tried: TriedUnit | None = None
        self._goes_on = True
        self._is_offered = False

    def __next__(self) -> Attempt:
        if not self._goes_on:
            raise StopIteration
        self._offer("with")
        return Attempt(self)

    async def __anext__(self) -> AsyncAttempt:
        if not self._goes_on:
            raise StopAsyncIteration
        self._offer("async with")
        return AsyncAttempt(self)

    def _offer(self, words: str) -> None:
        if self._is_offered:
            raise errors.NoTransactionError(
                f"{self._place} asked 'attempts()' for another try and had not entered the one before. Write "
                f"'{words} attempt as session:' around the whole body of the loop."
            )
        self._is_offered = True

    def open(self) -> Frame:
        """Begin the try that was offered."""
        unit = self._begin("with")
        if self._tried is None and is_inside(unit):
            return open_frame(unit.blocking_home(), self._options, self._place)
        if self._tried is None:
            self._tried = TriedUnit(unit, self._policy, self._options, self._place)
        return self._tried.open()

    async def enter(self) -> Entered:
        """The same in a coroutine."""
        from ._async.scopes import enter
        from ._async.waiting import in_task

        unit, options, place = self._begin("async with"), self._options, self._place
        if self._tried is None and not is_inside(unit):
            self._tried = await in_task(TriedUnit.in_task, unit, self._policy, options, place)
        tried = self._tried
        return await enter(unit, options, place, open_frame if tried is None else tried.open)

    def _begin(self, words: str) -> Unit:
        if not self._is_offered:
            raise errors.TransactionActiveError(
                f"An attempt of {self._place} was entered again. Enter each one once, by '{words} attempt as session:'."
            )
        self._goes_on = self._is_offered = False
        return self._find_unit()

    def again(self, error: BaseException) -> bool:
        """Whether another try follows after *error*, for which it has waited."""
        self._goes_on = self._tried is not None and self._tried.again(error)
        return self._goes_on


class Attempt:
    """One try: ``with attempt as session:`` opens a scope, and ends without an error where another try follows."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def __enter__(self) -> Session:
        self._frame = self._attempts.open()
        return self._frame.session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            self._frame.leave(error)
        except BaseException as failure:
            if self._attempts.again(failure):
                return True
            raise
        return error is not None and self._attempts.again(error)


class AsyncAttempt:
    """The same in a coroutine: ``async with attempt as session:``."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    async def __aenter__(self) -> AsyncSession:
        self._entered = await self._attempts.enter()
        return self._entered.session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        from ._async.waiting import in_task

        try:
            await self._entered.leave(error)
        except BaseException as failure:
            if await in_task(self._attempts.again, failure):
                return True
            raise
        return error is not None and await in_task(self._attempts.again, error)
