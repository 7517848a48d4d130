"""``session_manager()`` and what is said inside a scope: the current scope, hooks, services."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.orm import Session
from typing_extensions import ParamSpec

from . import errors
from ._core.hooks import Drain, Hook, draining, hook_name
from ._core.ledger import ledger_of
from ._core.leftovers import uncommitted
from ._core.options import Propagation, ScopeOptions, make_options
from ._core.outcome import Outcome
from ._core.places import Place, here, outside
from ._core.propagation import open_frame
from ._core.scope import Frame, Home, Scope
from ._core.sharing import admit
from ._functions import check_plain_function, is_coroutine_function
from ._sources import is_async_factory
from ._unit import Unit, current_unit, find_unit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from ._async.scopes import Entered

__all__ = [
    "SessionManager",
    "current_scope",
    "make_service",
    "on_commit",
    "on_rollback",
    "on_unknown",
    "requires_transaction",
    "session_manager",
]

P = ParamSpec("P")
R = TypeVar("R")


class SessionManager:
    """What ``with`` and ``async with session_manager():`` enter; it finds the app context when it is entered."""

    __slots__ = ("_entered", "_find_unit", "_frame", "_is_free", "_options", "_place")

    _frame: Frame
    _entered: Entered
    _is_free: bool

    def __init__(
        self, options: ScopeOptions, place: Place, find: Callable[[], Unit] = current_unit
    ) -> None:
        self._options = options
        self._place = place
        self._find_unit = find
        self._is_free = True

    def __enter__(self) -> Session:
        try:
            del self._is_free  # in one step: two threads may share this object
        except AttributeError:
            raise self._entered_again() from None
        try:
            unit = self._find_unit()
            home = unit if unit.tasks is None else unit.blocking_home()
            self._frame = frame = open_frame(home, self._options, self._place)
        except BaseException:
            self._is_free = True
            raise
        return frame.session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._frame.leave(error)
        finally:
            self._is_free = True

    async def __aenter__(self) -> AsyncSession:
        from ._async.scopes import enter

        try:
            del self._is_free
        except AttributeError:
            raise self._entered_again() from None
        try:
            self._entered = await enter(self._find_unit(), self._options, self._place)
        except BaseException:
            self._is_free = True
            raise
        return self._entered.session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._entered.leave(error)
        finally:
            self._is_free = True

    def _entered_again(self) -> errors.TransactionActiveError:
        return errors.TransactionActiveError(
            f"The object that 'session_manager()' returned at {self._place} was entered again before it was left. Call "
            "'session_manager()' anew for each 'with' block."
        )


def session_manager(
    *,
    propagation: Propagation | str = "required",
    read_only: bool = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
    name: str | None = None,
) -> SessionManager:
    """Open a transaction scope on the session of the current app context.

    ``with session_manager() as session:`` commits when the block ends, and rolls back when an exception leaves it. In a
    coroutine ``async with session_manager() as session:`` does the same with a session of the current task.

    Args:
        propagation: What to do about a scope that is already open; see :class:`Propagation`.
        read_only: Let the database itself refuse writes.
        isolation_level: ``"READ UNCOMMITTED"``, ``"READ COMMITTED"``, ``"REPEATABLE READ"`` or ``"SERIALIZABLE"``;
            None leaves the database's default.
        timeout: Seconds after which the database cancels a statement (on SQLite: stops waiting for a lock); None
            leaves the server's own limit.
        name: The scope's name in messages; the name of the calling function if None.

    Returns:
        A context manager; its value is the :class:`sqlalchemy.orm.Session`, that of ``async with`` the
        :class:`sqlalchemy.ext.asyncio.AsyncSession`.

    Raises:
        ValueError: If the propagation or isolation level is unknown, or the timeout not a positive number.
        NoAppError: On entering, without an app context or a database.
        NoTransactionError: On entering, if *propagation* is ``"mandatory"`` and no scope is open.
        TransactionActiveError: On entering, if *propagation* is ``"never"`` and a scope is open.
        IsolationMismatchError: On entering, if the open transaction is not what is asked for.
        PoolStarvationError: On entering, if ``"requires_new"`` needs a connection that the pool cannot give.
        SelfDeadlockError: On entering, if ``"requires_new"`` would wait for its own caller.
        UnexpectedRollbackError: On leaving, if the transaction can only be rolled back.
        CommitOutcomeUnknownError: On leaving, if the connection broke during COMMIT.
        PartialCommitError: On leaving, if only some of several databases committed.

    .. versionadded:: 0.1
    """
    options = make_options(propagation, read_only, isolation_level, timeout, name)
    return SessionManager(options, here(1))


def current_scope() -> Scope | None:
    """The innermost open scope of the current app context, if there is one; inside an asyncio task, its own.

    .. versionadded:: 0.1
    """
    unit = find_unit()
    return None if unit is None else (unit if unit.tasks is None else unit.home()).scope


def requires_transaction(fn: Callable[P, R]) -> Callable[P, R]:
    """Make *fn* a service: it works inside its caller's scope and never commits.

    Raises:
        TypeError: If *fn* is not a plain function.
        NoTransactionError: When it is called outside a scope.

    .. versionadded:: 0.1
    """
    return make_service(fn, current_scope)


def make_service(fn: Callable[P, R], find_scope: Callable[[], Scope | None]) -> Callable[P, R]:
    """Wrap *fn*; see :func:`requires_transaction`."""
    check_plain_function(fn, "@requires_transaction", coroutines=True)

    @functools.wraps(fn)
    def service(*args: P.args, **kwargs: P.kwargs) -> R:
        if find_scope() is None:
            raise _no_scope(fn, here(1))
        return fn(*args, **kwargs)

    @functools.wraps(fn)
    async def coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
        if find_scope() is None:
            raise _no_scope(fn, outside().place)
        return await cast(Any, fn)(*args, **kwargs)

    return cast(Callable[P, R], coroutine) if is_coroutine_function(fn) else service


def _no_scope(fn: Callable[..., object], caller: Place) -> errors.NoTransactionError:
    return errors.NoTransactionError(
        f"'{hook_name(fn)}' needs a transaction, and {caller} called it outside any scope. Call it inside "
        "'with session_manager():' or from a function under '@transactional'."
    )


def on_commit(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Callable[P, R]:
    """Run ``fn(*args, **kwargs)`` after the outermost COMMIT of the open transaction, and never if it rolls back.

    Hooks run first in, first out, when the connection is back in its pool. Dropped, if the savepoint that they were
    registered in rolls back. After an asynchronous transaction coroutine functions are awaited, each in its turn.

    Returns:
        *fn*, so that it works as a decorator.

    Raises:
        NoTransactionError: If no transaction is open.
        TypeError: If *fn* is not callable, or is a coroutine function and the transaction a synchronous one.

    .. versionadded:: 0.1
    """
    return _register(Outcome.COMMITTED, fn, *args, **kwargs)


def on_rollback(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Callable[P, R]:
    """Run ``fn(*args, **kwargs)`` after the outermost transaction has rolled back; see :func:`on_commit`.

    .. versionadded:: 0.1
    """
    return _register(Outcome.ROLLED_BACK, fn, *args, **kwargs)


def on_unknown(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Callable[P, R]:
    """Run ``fn(*args, **kwargs)`` if the fate of the COMMIT could not be learned; see :func:`on_commit`.

    .. versionadded:: 0.1
    """
    return _register(Outcome.UNKNOWN, fn, *args, **kwargs)


def _register(
    outcome: Outcome, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Callable[P, R]:
    unit = current_unit()
    home = unit if unit.tasks is None else unit.home()
    run = functools.partial(home.hook(fn), *args, **kwargs)
    running = draining.get()
    if running is not None and _runs_in(running, home):
        running.queue.add(Hook(outcome, run, hook_name(fn), None))
        return fn
    session = _open_session(home, fn)
    admit(session)
    savepoint = session.get_nested_transaction()
    ledger_of(session).add_hook(Hook(outcome, run, hook_name(fn), savepoint))
    return fn


def _runs_in(running: Drain, unit: Home) -> bool:
    """Whether the caller is a hook, in its own unit of work, that has begun no work of its own."""
    if unit.scope is not running.scope:
        return False
    if unit.scope is not None:
        return True
    if not _has_session(unit):
        return False
    session = unit.session()
    sessions = {session, *unit.sessions.values()}
    own = any(ledger_of(each) is running.ledger for each in sessions)
    return own and uncommitted(session) is None


def _has_session(home: Home) -> bool:
    """Whether there is one outside of scopes; of an app with asynchronous sessions only, each task has its own."""
    return not (isinstance(home, Unit) and is_async_factory(home.state.source.db))


def _open_session(unit: Home, fn: Callable[..., object]) -> Session:
    if unit.scope is not None:
        return unit.scope.session
    if _has_session(unit):
        session = unit.session()
        if session.in_transaction():
            return session
    raise errors.NoTransactionError(
        f"'{hook_name(fn)}' was registered while no transaction is open, so it would never run. Register it inside "
        "'with session_manager():' or a function under '@transactional', or call it directly."
    )
