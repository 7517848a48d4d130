"""Where the scopes of an asyncio task are: in a home of its own, for each application context that it works in."""

from __future__ import annotations

import functools
import weakref
from asyncio import Task
from collections.abc import Callable, Hashable
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from .. import errors
from .._core.binding import allow_statements, refuse_statements
from .._core.hooks import check_hook, is_awaited
from .._core.ledger import ledger_of
from .._core.places import Place, outside
from .._core.runners import Runner, current_runner, own_task, spawned
from .._core.scope import Frame, Scope
from .._unit import Unit
from .sources import async_factory

__all__ = ["TaskHome", "home_of_task"]


class ManagedSession(AsyncSession):
    """A session of a scope: SQLAlchemy would close it in a task that nobody can tell from others."""

    async def __aexit__(self, type_: object, value: object, traceback: object) -> None:
        await self.close()


@functools.cache
def _managed_class(base: Any) -> type[AsyncSession]:
    return type(base.__name__, (ManagedSession, base), {})


class TaskHome:
    """The sessions and scopes of one task in one application context.

    Between two scopes its session takes no statements: nobody could wait for its end, when the context ends.
    """

    def __init__(self, unit: Unit) -> None:
        self.scope: Scope | None = None
        self.suspended: list[Session] = []
        self.sessions: dict[AsyncSession, Session] = {}
        self.runner: Runner = current_runner()
        self._unit = unit
        self._current: AsyncSession | None = None
        self._frames = 0

    def session(self) -> Session:
        """The session of this task, as the core knows it."""
        if self._current is None:
            self._current = self._make()
        return self._current.sync_session

    def swap(self, session: Session | None) -> Session:
        """Put *session* (None: a new one) in the place of the current session, and return that one."""
        before = self.session()
        self._current = self._make() if session is None else self.wrapper_of(session)
        return before

    def dismiss(self, session: Session, error: BaseException | None) -> None:
        """Report what *session* holds uncommitted, unless *error* cut it off, and close it."""
        self._unit.dismiss(session, error)
        del self.sessions[self.wrapper_of(session)]

    def hook(self, fn: Callable[..., object]) -> Callable[..., object]:
        """What runs *fn* as a hook, and awaits it: hooks run where SQLAlchemy may wait."""
        if is_awaited(fn):
            return functools.partial(_awaited, fn)
        check_hook(fn)
        return fn

    def wrapper_of(self, session: Session) -> AsyncSession:
        """The asynchronous session around *session*."""
        return next(each for each, inner in self.sessions.items() if inner is session)

    def entered(self) -> None:
        """A block was entered."""
        if not self._frames:
            self._unit.check_not_ended()
            if self._current is not None:
                allow_statements(self._current.sync_session)
        self._frames += 1

    def left(self, error: BaseException | None) -> None:
        """A block was left; the outermost one leaves no connection behind."""
        self._frames -= 1
        if self._frames or self._current is None:
            return
        session = self._current.sync_session
        if ledger_of(session).connections:  # a block without a scope has read from it
            self._current = None
            self.dismiss(session, error)
        refuse_statements(session, _left)

    def leave_all(self, error: BaseException) -> None:
        """Leave what *error* has cut off, where somebody can wait for it."""
        while self.scope is not None:
            cast(Frame, self.scope).leave(error)
        if self.suspended:
            self.suspended, self._current = [], None
            for session in list(self.sessions.values()):
                self.dismiss(session, error)
        if self._frames:
            self._frames = 1
            self.left(error)

    def abandon(self, error: BaseException | None) -> None:
        """Give up what is open: nobody can wait for a rollback, so the connections are dropped."""
        self.scope, self.suspended = None, []
        self._unit.abandon(list(self.sessions.values()), error)

    def _make(self) -> AsyncSession:
        made = async_factory(self._unit.state)()
        made.__class__ = _managed_class(cast(Hashable, type(made)))
        self.sessions[made] = made.sync_session
        return made


class TaskHomes:
    """The homes of the tasks in one application context; see :class:`flask_safesession._core.tasks.Tasks`."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._homes: weakref.WeakKeyDictionary[Task[Any], TaskHome] = weakref.WeakKeyDictionary()

    def home(self) -> TaskHome | None:
        """Where the scopes of the caller are, if it is a task that has opened one."""
        task = own_task()
        return None if task is None else self._homes.get(task)

    def of(self, task: Task[Any]) -> TaskHome:
        """The home of *task*."""
        home = self._homes.get(task)
        if home is None:
            home = self._homes[task] = TaskHome(self._unit)
        return home

    def blocking_home(self) -> Unit | TaskHome:
        """Where synchronous code opens its scopes: those that ``run_sync()`` runs join that of the task."""
        home = self.home()
        if home is None or (home.scope is None and not home.suspended):
            return self._unit
        if spawned() is not None:
            return home
        raise _cannot_wait(home)

    def refuse_blocking(self, what: str, instead: str) -> None:
        """Raise if *what* is used inside an asynchronous scope."""
        home = self.home()
        if home is None or home.scope is None:
            return
        raise errors.TransactionActiveError(
            f"{outside().place} used {what} inside the asynchronous transaction that {home.scope.owner_text}, of which "
            f"it is no part. {instead}."
        )

    def scopes(self) -> list[Scope]:
        """The innermost scope of each task that has one open."""
        return [each.scope for each in self._homes.values() if each.scope is not None]

    def finish(self, error: BaseException | None) -> None:
        """End with the context what a task has left open that has ended, or that ends the context itself."""
        for task, home in list(self._homes.items()):
            if task.done() or task is own_task():
                home.abandon(error)


def _awaited(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> object:
    return await_only(fn(*args, **kwargs))


def home_of_task(unit: Unit, place: Place) -> TaskHome:
    """The home of the task that calls this.

    Raises:
        RuntimeError: If no asyncio task runs here.
        TransactionActiveError: If *unit* is inside a synchronous scope.
    """
    task = own_task()
    if task is None:
        raise RuntimeError(
            f"{place} entered 'async with session_manager():' outside of any asyncio task. Call it from a coroutine "
            "that 'asyncio.run()' or an 'async def' view runs; SQLAlchemy's async sessions need asyncio: "
            "trio will not do."
        )
    if unit.scope is not None:
        raise errors.TransactionActiveError(
            f"{place} opened an asynchronous scope inside the synchronous transaction that {unit.scope.owner_text}: it "
            "cannot join that. Open that one with 'async with session_manager():' too, or end it before."
        )
    if not isinstance(unit.tasks, TaskHomes):
        unit.tasks = TaskHomes(unit)
    return unit.tasks.of(task)


def _cannot_wait(home: TaskHome) -> errors.TransactionActiveError:
    around = "an asynchronous block" if home.scope is None else f"the scope of {home.scope}"
    return errors.TransactionActiveError(
        f"{outside().place} opened a synchronous scope inside {around}, which is asynchronous. Write 'async with "
        "session_manager():', or run this function by 'await session.run_sync(...)', where it joins."
    )


def _left() -> errors.StaleContextError:
    return errors.StaleContextError(
        f"{outside().place} used the session of an asynchronous block that has ended. Read what you need inside the "
        "block, or make the sessions with 'expire_on_commit=False'; for more statements open another "
        "'async with session_manager():'."
    )
