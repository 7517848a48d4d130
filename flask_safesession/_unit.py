"""The unit of work of one application context, and the look-up of the current one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar

from flask.ctx import AppContext
from flask.globals import app_ctx
from sqlalchemy.orm import Session
from sqlalchemy.util import ScopedRegistry

from . import errors
from ._config import GuardMode
from ._core import wording
from ._core.binding import refuse_statements, watch_statements
from ._core.forks import after_fork_in_child
from ._core.guard import GuardMixin, guard_session
from ._core.hooks import check_hook, full_name
from ._core.ledger import Rules, ledger_of
from ._core.leftovers import complain, discard, give_back, invalidate, roll_back, uncommitted
from ._core.scope import Home, Scope
from ._core.sharing import is_at_hand, release, take
from ._core.tasks import Tasks
from ._proxies import app_context
from ._stale import complain_stale, no_app_context, warn_ended
from ._state import STATE, AppState, Registry

__all__ = [
    "JOB",
    "ContextRegistry",
    "Unit",
    "context_object",
    "current_rules",
    "current_unit",
    "existing_unit",
    "find_unit",
    "refusing",
    "unit_of",
]

_UNIT = "_safesession_unit"
JOB = "_safesession_job"
"""The attribute of an application context that holds the function of the job, if it is the context of one."""

_YIELDED = "Use the session that the block gave"

_context: ContextVar[AppContext] = app_context

# Set while a body streams after the transaction of its view, with the error for a use of the session.
refusing: ContextVar[Callable[[], Exception] | None] = ContextVar(
    "flask_safesession.refusing", default=None
)


class Unit:
    """The unit of work of one application context: its sessions, its scopes, and whether it has ended."""

    __slots__ = ("ended", "failed", "scope", "sessions", "state", "streams", "suspended", "tasks")

    def __init__(self, state: AppState) -> None:
        self.state = state
        self.scope: Scope | None = None
        self.suspended: list[Session] = []
        self.sessions: dict[ContextRegistry, Session] = {}
        self.ended = False
        self.failed = False
        self.streams = False
        self.tasks: Tasks | None = None

    def home(self) -> Home:
        """Where the scopes of the caller are: here, or in its asyncio task."""
        home = None if self.tasks is None else self.tasks.home()
        if home is None or (home.scope is None and self.scope is not None):
            return self  # a synchronous scope of a coroutine is here too
        return home

    def blocking_home(self) -> Home:
        """Where synchronous code opens its scopes.

        Raises:
            TransactionActiveError: If an asynchronous scope is open that it could not wait for.
        """
        return self if self.tasks is None else self.tasks.blocking_home()

    def session(self) -> Session:
        """The session of this context."""
        registry = self.state.registry()
        if isinstance(registry, ContextRegistry):
            return registry.of(self)
        session = registry()
        guard_session(session, current_rules)
        return session

    def hook(self, fn: Callable[..., object]) -> Callable[..., object]:
        """What runs *fn* as a hook of a synchronous transaction: itself."""
        check_hook(fn)
        return fn

    def check_not_ended(self) -> None:
        """Complain about who reaches for a session through a context that was popped."""
        if self.ended:
            complain_stale(self.state.settings.stale_context)

    def swap(self, session: Session | None) -> Session:
        """Put *session* (None: a new one) in the place of the current session, and return that one."""
        registry = self.state.registry()
        before = self.session()
        following = registry.createfunc() if session is None else session
        if isinstance(registry, ContextRegistry):
            # Not by 'set()': a forked child leaves the blocks of a unit that is no longer the current one.
            self.sessions[registry] = following
        else:
            registry.set(following)
        return before

    def dismiss(self, session: Session, error: BaseException | None) -> None:
        """Report what *session* holds uncommitted, roll back and close it; see ``SAFESESSION_UNCOMMITTED``."""
        self._end([session], discard, quiet=error is not None)

    def abandon(self, sessions: list[Session], error: BaseException | None) -> None:
        """The same where nobody can wait for the database: their connections are not used again."""
        self._end(sessions, invalidate, quiet=error is not None or self.failed)

    def roll_back(self, sessions: list[Session]) -> None:
        """The same for a request in a context that goes on: the objects of *sessions* stay attached."""
        failed, self.failed = self.failed, False
        self._end(sessions, roll_back, quiet=failed)

    def give_back(self, sessions: list[Session], error: BaseException | None) -> None:
        """The same between two phases of a job; what *error* cut off is not reported."""
        self._end(sessions, give_back, quiet=error is not None)

    def rest(self) -> None:
        """Let another thread go on with what this one has used."""
        for session in self._all():
            if is_at_hand(session):
                release(session)

    def finish(self, error: BaseException | None) -> None:
        """End all sessions of the context; what an error cut off or an error's response gave up is not reported."""
        if self.tasks is not None:
            self.tasks.finish(error)
        if not self.sessions and self.scope is None:
            return
        sessions = self._all()
        self.scope = None
        self.suspended = []
        self.sessions = {}
        self._end(sessions, self._close_for_good, quiet=error is not None or self.failed)

    def _close_for_good(self, session: Session) -> None:
        """Let nobody who kept *session* use it in silence; see ``SAFESESSION_STALE_CONTEXT``."""
        discard(session)
        release(session)
        mode = self.state.settings.stale_context
        if mode == "raise":
            refuse_statements(session, wording.session_ended)
        elif mode == "warn":
            watch_statements(session, warn_ended)

    def _all(self) -> list[Session]:
        if self.scope is None and not self.suspended:
            return list(self.sessions.values())
        return list(dict.fromkeys([*self.sessions.values(), *self.suspended, *self._owned()]))

    def _owned(self) -> Iterator[Session]:
        """The sessions of scopes that nobody left; a test kit's are not among those of the context."""
        scope = self.scope
        while scope is not None:
            yield scope.session
            scope = scope.outer

    def _end(
        self, sessions: list[Session], end: Callable[[Session], None], *, quiet: bool = False
    ) -> None:
        sessions = [each for each in sessions if take(each)]
        mode: GuardMode = "off" if quiet else self.state.settings.uncommitted
        reports = [uncommitted(each) for each in sessions] if mode != "off" else []
        for session in sessions:
            end(session)
        for found in filter(None, reports):
            report = found._replace(whose=_whose())
            if mode == "raise":
                raise errors.UncommittedChangesError(report.text)
            complain(report)


def _whose() -> str:
    """Whose the current context is, at the beginning of a sentence."""
    fn = getattr(_context.get(None), JOB, None)
    return "A context" if fn is None else f"The context of the job '{full_name(fn)}'"


class ContextRegistry(ScopedRegistry[Session]):
    """A ``scoped_session``'s registry that keeps the session on the application context object.

    ``id()`` of a context is no key: the next context may get the same address.
    """

    def __init__(
        self,
        createfunc: Callable[[], Session],
        fallback: Registry | None = None,
        *,
        needs_context: bool = False,
    ) -> None:
        self.createfunc = createfunc
        self.fallback = fallback
        self._needs_context = needs_context

    def __call__(self) -> Session:
        unit: Unit | None = getattr(_context.get(None), _UNIT, None)
        if unit is not None and self in unit.sessions and unit.tasks is None:
            return unit.sessions[self]
        return self._first()

    def _first(self) -> Session:
        unit = find_unit()
        if unit is None:
            return self._outside()()
        if unit.tasks is not None:
            unit.tasks.refuse_blocking("the synchronous session of the app", _YIELDED)
        if unit.scope is None and (refusal := refusing.get()) is not None:
            raise refusal()
        return self.of(unit)

    def of(self, unit: Unit) -> Session:
        """The session of *unit*, made when it is first needed."""
        session = unit.sessions.get(self)
        if session is None:
            if unit.ended:
                complain_stale(unit.state.settings.stale_context)
            session = unit.sessions[self] = self.createfunc()
            if not isinstance(session, GuardMixin):
                guard_session(session, current_rules)
        return session

    def has(self) -> bool:
        unit: Unit | None = getattr(_context.get(None), _UNIT, None) or _new_unit()
        if unit is None:
            return self._outside().has()
        return self in unit.sessions

    def set(self, obj: Session) -> None:
        unit = find_unit()
        if unit is None:
            self._outside().set(obj)
        else:
            unit.sessions[self] = obj

    def clear(self) -> None:
        unit: Unit | None = getattr(_context.get(None), _UNIT, None) or _new_unit()
        if unit is None:
            self._outside().clear()
        elif self in unit.sessions and ledger_of(unit.sessions[self]).owner is None:
            del unit.sessions[self]

    def _outside(self) -> Registry:
        """The registry that was there before, for other apps and for code without an app context."""
        if self.fallback is None or (self._needs_context and not app_ctx):
            raise no_app_context()
        return self.fallback


def context_object() -> AppContext | None:
    """The current application context itself."""
    return _context.get(None)


def existing_unit() -> Unit | None:
    """The unit of work of the current application context, if it has one already."""
    return getattr(_context.get(None), _UNIT, None)


def unit_of(context: AppContext | None) -> Unit | None:
    """The unit of work of *context*, if it has one already."""
    return getattr(context, _UNIT, None)


def find_unit() -> Unit | None:
    """The unit of work of the current application context, if there is one and its app has the extension."""
    return getattr(_context.get(None), _UNIT, None) or _new_unit()


def _new_unit() -> Unit | None:
    context = _context.get(None)
    state: AppState | None = None if context is None else context.app.extensions.get(STATE)
    if state is None:
        return None
    unit = Unit(state)
    setattr(context, _UNIT, unit)
    return unit


def _begin_anew() -> None:
    """In a forked child the contexts of the parent are there, and have no unit of work yet."""
    global _UNIT  # noqa: PLW0603 - it is looked up at each use of a session, and nothing is cheaper than a global
    _UNIT += "'"


after_fork_in_child(_begin_anew)


def current_unit() -> Unit:
    """The unit of work of the current application context.

    Raises:
        NoAppError: If there is none, or its app has no ``SafeSession``.
    """
    unit: Unit | None = getattr(_context.get(None), _UNIT, None) or _new_unit()
    if unit is None:
        raise no_app_context()
    return unit


def current_rules() -> Rules:
    """The rules for a session that is made now."""
    unit: Unit | None = getattr(_context.get(None), _UNIT, None) or _new_unit()
    return Rules() if unit is None else unit.state.rules
