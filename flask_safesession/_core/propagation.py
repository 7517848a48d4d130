"""What each propagation does, with a scope open and without one (the table is in the reference)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from .. import errors
from .options import Propagation, ScopeOptions
from .owner import NewScope, OwnedScope, resume, suspend
from .places import Place
from .savepoint import SavepointScope
from .scope import Frame, Home, JoinedScope, Scope

__all__ = ["open_frame"]


class NoScope:
    """The session of the context, without a scope."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    def leave(self, error: BaseException | None) -> None:
        """Nothing was opened."""


class Suspension:
    """No scope and a session of its own, while the outer scope waits."""

    __slots__ = ("_before", "_home", "_scope", "session")

    def __init__(self, home: Home, options: ScopeOptions) -> None:
        self._home = home
        self._scope = home.scope
        self._before = suspend(home, home.scope, options)
        self.session = home.session()
        home.scope = None

    def leave(self, error: BaseException | None) -> None:
        self._home.scope = self._scope
        resume(self._home, self._before, error)


def open_frame(home: Home, options: ScopeOptions, place: Place) -> Frame:
    """Open what ``session_manager(**options)`` asks for, at *place*.

    Raises:
        NoTransactionError: If the propagation is ``"mandatory"`` and no scope is open.
        TransactionActiveError: If the propagation is ``"never"`` and one is.
    """
    outer = home.scope
    if outer is None:
        return _IDLE[options.propagation](home, options, place)
    return _ACTIVE[options.propagation](home, outer, options, place)


def _without(home: Home, options: ScopeOptions, place: Place) -> Frame:
    return NoScope(home.session())


def _none_to_join(home: Home, options: ScopeOptions, place: Place) -> Frame:
    raise errors.NoTransactionError(
        f"'{options.name or place.function}' ({place.where}) has propagation=\"mandatory\", and no scope is open. "
        "Call it inside 'with session_manager():' or from a function under '@transactional'."
    )


def _new(home: Home, outer: Scope, options: ScopeOptions, place: Place) -> Frame:
    return NewScope(home, options, place)


def _suspend(home: Home, outer: Scope, options: ScopeOptions, place: Place) -> Frame:
    return Suspension(home, options)


def _not_now(home: Home, outer: Scope, options: ScopeOptions, place: Place) -> Frame:
    raise errors.TransactionActiveError(
        f"'{options.name or place.function}' ({place.where}) has propagation=\"never\", and is called inside the "
        f"transaction that {outer.owner_text}. Call it after that block, for example with 'on_commit()'."
    )


_Idle = Callable[[Home, ScopeOptions, Place], Frame]
_Active = Callable[[Home, Scope, ScopeOptions, Place], Frame]

_IDLE: Mapping[Propagation, _Idle] = {
    Propagation.REQUIRED: OwnedScope,
    Propagation.REQUIRES_NEW: OwnedScope,
    Propagation.NESTED: OwnedScope,
    Propagation.MANDATORY: _none_to_join,
    Propagation.SUPPORTS: _without,
    Propagation.NOT_SUPPORTED: _without,
    Propagation.NEVER: _without,
}
_ACTIVE: Mapping[Propagation, _Active] = {
    Propagation.REQUIRED: JoinedScope,
    Propagation.REQUIRES_NEW: _new,
    Propagation.NESTED: SavepointScope,
    Propagation.MANDATORY: JoinedScope,
    Propagation.SUPPORTS: JoinedScope,
    Propagation.NOT_SUPPORTED: _suspend,
    Propagation.NEVER: _not_now,
}
