"""The three phases, one after the other."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from sqlalchemy.orm import Session

from .. import errors
from .._core.hooks import hook_name
from .._core.leftovers import give_back, is_idle
from .._core.notes import add_note
from .._core.options import make_options
from .._core.outcome import Outcome
from .._core.places import Place, function_place, outside
from .._core.scope import Frame, Home, Scope
from .._session import SessionManager
from .._unit import Unit, current_unit
from .checks import are_awaited, check_outside, check_values, second_session
from .result import Execute, PhaseResult, Prepare, Record

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

__all__ = [
    "AwaitedExecute",
    "AwaitedPrepare",
    "AwaitedRecord",
    "Phases",
    "phases",
    "run_in_phases",
]

T = TypeVar("T")
R = TypeVar("R")

AwaitedPrepare = Callable[["AsyncSession"], Coroutine[Any, Any, T]]
AwaitedExecute = Callable[[T], Coroutine[Any, Any, R]]
AwaitedRecord = Callable[["AsyncSession", PhaseResult[R]], Coroutine[Any, Any, object]]

_RECORDED = {
    Outcome.COMMITTED: "that is recorded",
    Outcome.ROLLED_BACK: "that was not recorded",
    Outcome.UNKNOWN: "nobody knows whether that is recorded",
}


@overload
def run_in_phases(  # type: ignore[overload-overlap] # where both match, R is the coroutine
    prepare: Prepare[T], execute: Execute[T, R], record: Record[R]
) -> R: ...


@overload
def run_in_phases(
    prepare: AwaitedPrepare[T] | Prepare[T],
    execute: AwaitedExecute[T, R],
    record: AwaitedRecord[R] | Record[R],
) -> Coroutine[Any, Any, R]: ...


def run_in_phases(prepare: Any, execute: Any, record: Any) -> Any:
    """Run a job that waits for something slow, and hold no connection while it waits.

    *prepare* and *record* run in a scope of their own each, *execute* between them without a scope or a connection.
    It may open scopes itself; what it leaves uncommitted in ``db.session`` is reported and rolled back. A scope that
    it leaves open is an error.

    In a coroutine *execute* is a coroutine function, and the call is awaited. *prepare* and *record* are coroutine
    functions too, which get an :class:`~sqlalchemy.ext.asyncio.AsyncSession`, or plain ones, which get its synchronous
    part and are run as by ``run_sync()``.

    Args:
        prepare: Is called with the session; its scope commits before *execute* begins. What it returns goes to
            *execute*: values and primary keys, no ORM instances.
        execute: Is called with what *prepare* returned. Whatever ends it, :class:`KeyboardInterrupt` and a
            cancellation included, is recorded.
        record: Is called with the session and a :class:`PhaseResult`, whether *execute* succeeded or failed.

    Returns:
        What *execute* returned.

    Raises:
        TypeError: Before anything runs, if one of the three cannot be called so, or is a generator function, or
            *execute* is a plain function and another one is not.
        TransactionActiveError: Inside a scope, or if *execute* leaves one open.
        DetachedArgumentError: If there are ORM instances in what *prepare* returns; nothing is stored then.
        UnexpectedRollbackError: If *prepare* asked for a rollback, so that there is nothing to execute.
        NoAppError: Without an app context or a database.
        BaseException: What *execute* raised, the same object, after it was recorded. If *record* fails then, its
            error is a note of that one; when *prepare* fails nothing else runs. What a hook of *prepare* raises after
            its COMMIT (``SAFESESSION_HOOK_ERRORS="raise"``) is recorded and raised likewise, without *execute*.

    .. versionadded:: 0.1
    """
    return phases(current_unit, prepare, execute, record)


def phases(find_unit: Callable[[], Unit], prepare: Any, execute: Any, record: Any) -> Any:
    """Do what :func:`run_in_phases` says."""
    if not are_awaited(prepare, execute, record):
        return Phases(find_unit(), prepare, execute, record).run()
    from .awaited import run_awaited

    return run_awaited(find_unit, prepare, execute, record)


class Phases(Generic[T, R]):
    """A job of three plain functions in the context *unit*."""

    def __init__(
        self, unit: Unit, prepare: Prepare[T], execute: Execute[T, R], record: Record[R]
    ) -> None:
        self.unit = unit
        self.home = self.find_home()
        self._prepare = prepare
        self._execute = execute
        self._record = record

    def run(self) -> R:
        """Run them, and return or raise what *execute* did."""
        check_outside(self.home, self._execute)
        self._session = self.home.session()
        self._give_back_idle()
        result = self._prepare_and_execute()
        try:
            self._record_result(result)
            if result.error is not None:
                raise result.error
            return cast(R, result.value)
        finally:
            del result  # the traceback of its error refers to this frame

    def find_home(self) -> Home:
        """Where the scopes of the phases are opened."""
        return self.unit.blocking_home()

    def scope(self, phase: Callable[..., Any]) -> AbstractContextManager[Session]:
        """The scope of *phase*."""
        return self.manager(phase)

    def call(self, phase: Callable[..., Any], *args: Any) -> Any:
        """What *phase* gives."""
        return phase(*args)

    def sessions(self) -> Iterable[Session]:
        """Those that may hold connections, apart from the current one."""
        return self.unit.sessions.values()

    def abandon(self, error: BaseException) -> None:
        """Leave the scopes that *error* has cut off."""
        while self.home.scope is not None:
            cast(Frame, self.home.scope).leave(error)
        if self.home.suspended:
            self.unit.finish(error)

    def manager(self, phase: Callable[..., Any]) -> SessionManager:
        """What opens the scope of *phase*."""
        options = make_options(name=getattr(phase, "__name__", None))
        return SessionManager(options, _definition(phase), lambda: self.unit)

    def _prepare_and_execute(self) -> PhaseResult[R]:
        prepare, scope = self._prepare, None
        try:
            with self.scope(prepare) as own:
                scope = self.home.scope
                prepared = self.call(prepare, own)
                check_values(prepared, prepare)
        except BaseException as error:
            if _outcome(scope) is not Outcome.COMMITTED:
                raise
            # A hook failed. The job is stored as running already, and nobody else would say that it is not.
            self._abandon(error)
            return PhaseResult("failed", None, error, 0.0)
        if _outcome(scope) is not Outcome.COMMITTED:
            raise errors.UnexpectedRollbackError(
                f"'{hook_name(prepare)}' asked for a rollback, so nothing was executed. Raise an exception where a job "
                "is not to run."
            )
        return self._execute_prepared(prepared)

    def _execute_prepared(self, prepared: T) -> PhaseResult[R]:
        started = time.perf_counter()
        try:
            self._settle("A hook of the first phase")
            value = self.call(self._execute, prepared)
            self._settle(f"'{hook_name(self._execute)}'")
        except BaseException as error:  # noqa: BLE001 - it is raised again when it is recorded
            self._abandon(error)
            return PhaseResult("failed", None, error, time.perf_counter() - started)
        return PhaseResult("succeeded", value, None, time.perf_counter() - started)

    def _record_result(self, result: PhaseResult[R]) -> None:
        scope: Scope | None = None
        try:
            with self.scope(self._record) as session:
                scope = self.home.scope
                self.call(self._record, session, result)
        except BaseException as failure:
            fate = _RECORDED[_outcome(scope)]
            if result.error is None or not isinstance(failure, Exception):
                add_note(failure, f"The job had {result.status}, and {fate}.")
                raise
            text = f"{type(failure).__name__}: {failure}"
            add_note(result.error, f"'{hook_name(self._record)}' failed, and {fate}: {text}")

    def _settle(self, who: str) -> None:
        """Let nothing of a phase go on into the next one: report what *who* has left, and roll it back."""
        home = self.home
        if home.scope is not None or home.suspended:
            left = (
                "the session of a suspended scope"
                if home.scope is None
                else f"the scope of {home.scope}"
            )
            raise errors.TransactionActiveError(
                f"{who} left {left} open, so it is rolled back. Enter 'session_manager()' by 'with'."
            )
        self._give_back(None)

    def _abandon(self, error: BaseException) -> None:
        """Roll back what *error* has cut off."""
        self.abandon(error)
        self._give_back(error)

    def _give_back(self, error: BaseException | None) -> None:
        open_ones = [each for each in self._all() if each.in_transaction()]
        if open_ones:
            self.unit.give_back(open_ones, error)

    def _give_back_idle(self) -> None:
        """Begin without the connections that earlier code of the context holds and does not need any more."""
        for each in self._all():
            if not each.in_transaction():
                continue
            if is_idle(each):
                give_back(each)
            elif each is not self._session:
                raise second_session(each)

    def _all(self) -> Iterable[Session]:
        return dict.fromkeys([self._session, *self.sessions()])


def _outcome(scope: Scope | None) -> Outcome:
    """How the scope of a phase ended that was left; None for one that never began."""
    return Outcome.ROLLED_BACK if scope is None else Outcome(scope.outcome)


def _definition(phase: Callable[..., Any]) -> Place:
    function: Any = phase.func if isinstance(phase, functools.partial) else phase
    code: CodeType | None = getattr(function, "__code__", None)
    return outside().place if code is None else function_place(code)
