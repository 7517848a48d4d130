"""What every scope is, and the one that joins another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from .. import errors
from . import wording
from .binding import allow_statements, refuse_statements
from .demands import Demands
from .ledger import Ledger
from .notes import add_note
from .options import ScopeOptions
from .places import Place
from .sharing import admit
from .states import OPEN, State, moves

__all__ = ["Anchor", "Frame", "Home", "JoinedScope", "Owner", "Scope"]


class Home(Protocol):
    """The unit of work that scopes are opened in: an application context, or an asyncio task in one."""

    scope: Scope | None
    suspended: list[Session]

    @property
    def sessions(self) -> Mapping[Any, Session]:
        """The sessions that it has, by whatever tells them apart."""
        ...

    def hook(self, fn: Callable[..., object]) -> Callable[..., object]:
        """What runs *fn* as a hook of its transactions.

        Raises:
            TypeError: If it cannot be one.
        """
        ...

    def session(self) -> Session:
        """The session of this unit of work."""
        ...

    def swap(self, session: Session | None) -> Session:
        """Put *session* (None: a new one) in the place of the current session, and return that one."""
        ...

    def dismiss(self, session: Session, error: BaseException | None) -> None:
        """Report what *session* holds uncommitted, unless *error* cut it off, and close it."""
        ...


class Frame(Protocol):
    """What ``with session_manager()`` enters and leaves."""

    @property
    def session(self) -> Session: ...

    def leave(self, error: BaseException | None) -> None:
        """End it as the block ended."""
        ...


class Scope:
    """A transaction, as the code inside one ``session_manager()`` or ``@transactional`` sees it."""

    __slots__ = ("home", "options", "outer", "place", "session")

    home: Home
    outer: Scope | None
    session: Session
    options: ScopeOptions
    place: Place

    @property
    def anchor(self) -> Anchor:
        """The scope that is rolled back where this one fails: itself, or the one that it joined."""
        raise NotImplementedError

    @property
    def root(self) -> Owner:
        """The scope that owns the transaction."""
        return self.anchor.root

    @property
    def name(self) -> str:
        """The name that the scope was given, else that of the function that opened it."""
        return self.options.name or self.place.function

    @property
    def depth(self) -> int:
        """1 for the outermost scope of the unit of work, one more for each scope inside it."""
        return 1 if self.outer is None else self.outer.depth + 1

    @property
    def owner(self) -> str:
        """Who owns the transaction, as a name and ``file:line``."""
        return f"{self.root.name} ({self.root.place.where})"

    @property
    def attempt(self) -> int:
        """The number of this try of the whole transaction, from 1."""
        return self.root.attempt

    @property
    def outcome(self) -> str | None:
        """``"committed"``, ``"rolled_back"`` or ``"unknown"``; None while the transaction is open."""
        return self.anchor.outcome

    @property
    def owner_text(self) -> str:
        """The owner, for a sentence that ends on "the transaction that …"."""
        return f"'{self.root.name}' owns ({self.root.place.where})"

    def set_rollback_only(self) -> None:
        """Let the transaction end with a rollback, whatever happens until then; statements go on working.

        The owner's own block then ends quietly; from a joined scope the owner gets
        :class:`~flask_safesession.errors.UnexpectedRollbackError`.

        Raises:
            NoTransactionError: If the scope has ended.
        """
        self.anchor.poison(self, None)

    def __str__(self) -> str:
        return f"'{self.name}' ({self.place.where})"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self} {self.outcome or 'open'}>"

    def check_order(self) -> None:
        """Refuse to be left while another scope of the same unit of work is open inside.

        Raises:
            TransactionActiveError: If this is not the innermost scope.
        """
        if self.home.scope is not self:
            raise errors.TransactionActiveError(
                f"The scope of {self} was left out of order, while the innermost one is {self.home.scope or 'none'}. "
                "Leave scopes from the inside out: enter them with 'with', and not in a generator that waits."
            )


class Anchor(Scope):
    """A scope with something of its own to roll back: the transaction, or a savepoint."""

    __slots__ = ("_bind", "poison_error", "poison_text", "quiet", "refusing", "state")

    def __init__(self, home: Home, session: Session, options: ScopeOptions, place: Place) -> None:
        self.home = home
        self.outer: Scope | None = home.scope
        self.session = session
        self.options = options
        self.place = place
        self.state: State = OPEN
        self.quiet: bool = False
        self.refusing: bool = False
        self.poison_text: str | None = None
        self.poison_error: BaseException | None = None

    @property
    def anchor(self) -> Anchor:
        return self

    @property
    def ledger(self) -> Ledger:
        return self.root.ledger

    def wrong_state(self, method: str) -> Exception:
        return errors.NoTransactionError(
            f"'{method}()' was called on the scope of {self}, which has ended ({self.outcome}). "
            "Call it inside the 'with' block or function."
        )

    @moves((State.OPEN, State.ROLLBACK_ONLY), State.ROLLBACK_ONLY)
    def set_rollback_only(self) -> None:
        self.quiet = self.poison_text is None

    @moves((State.OPEN, State.ROLLBACK_ONLY), State.ROLLBACK_ONLY)
    def poison(self, inner: Scope | None, error: BaseException | None) -> None:
        """Make this rollback-only because *inner* failed with *error*, or asked for it without one."""
        if self.poison_error is None:
            self.quiet = False
            self.poison_text = wording.poisoned(self, inner, error)
            self.poison_error = error
        if error is not None:
            self._refuse_statements(self.poison_text or "")

    def _refuse_statements(self, text: str) -> None:
        before = refuse_statements(self.session, lambda: wording.refused_statement(text))
        if not self.refusing:
            self.refusing, self._bind = True, before

    def accept_statements(self) -> None:
        """Let statements work again, after this scope was refusing them."""
        allow_statements(self.session, self._bind)

    def unexpected(self) -> errors.UnexpectedRollbackError:
        """What the owner gets where it wanted to commit."""
        error = errors.UnexpectedRollbackError(
            f"{self.poison_text} So {self} was rolled back. Let the exception out of it, or open the inner scope with "
            "'session_manager(propagation=\"nested\")', whose failure leaves the outer one usable."
        )
        error.__cause__ = self.poison_error
        return error


class Owner(Anchor):
    """The scope that owns the transaction."""

    __slots__ = ()

    @property
    def root(self) -> Owner:
        return self

    @property
    def attempt(self) -> int:
        return 1

    @property
    def demands(self) -> Demands:
        """What it asks of each connection."""
        raise NotImplementedError

    @property
    def timeout(self) -> float | None:
        """The statement timeout that is in force, in seconds."""
        raise NotImplementedError

    def connected(self, connection: Connection) -> None:
        """A connection joined the transaction."""
        raise NotImplementedError

    def undo_demands(self) -> None:
        """Leave the connections as they were found."""
        raise NotImplementedError


class JoinedScope(Scope):
    """A scope inside another one's transaction."""

    __slots__ = ("_anchor", "_timeout")

    def __init__(self, home: Home, outer: Scope, options: ScopeOptions, place: Place) -> None:
        admit(outer.session)
        self.home = home
        self.outer = outer
        self.session = outer.session
        self.options = options
        self.place = place
        self._anchor = outer.anchor
        if not options.plain:
            check_demands(outer.root, options)
            self._timeout = enter_timeout(outer.root, options)
        home.scope = self

    @property
    def anchor(self) -> Anchor:
        return self._anchor

    def leave(self, error: BaseException | None) -> None:
        """Give the transaction back to the outer scope; an *error* makes it rollback-only."""
        if self.home.scope is not self:
            self.check_order()
        self.home.scope = self.outer
        if error is not None:
            self._anchor.poison(self, error)
        if self.options.timeout is not None:
            leave_timeout(self.root, self._timeout, error)


def check_demands(root: Owner, options: ScopeOptions) -> None:
    """Refuse to join a transaction that is not what *options* ask for.

    Raises:
        IsolationMismatchError: If another isolation level is asked for, or read-only mode where the transaction writes.
    """
    level = options.isolation_level
    if level is not None and level != root.options.isolation_level:
        asked, has = (
            f'isolation_level="{level}"',
            root.options.isolation_level or "the database's default",
        )
    elif options.read_only and not root.options.read_only:
        asked, has = "read_only=True", "read-write"
    else:
        return
    raise errors.IsolationMismatchError(
        f"A scope asked for '{asked}' inside the transaction that {root.owner_text}, which is {has}: it cannot change "
        f"on the way. Give '{asked}' to {root}, or open a transaction of its own with 'propagation=\"requires_new\"'."
    )


def enter_timeout(root: Owner, options: ScopeOptions) -> float | None:
    """Apply a joined scope's timeout; return the one to go back to."""
    before = root.demands.timeout
    if options.timeout is not None:
        root.demands.change_timeout(options.timeout, root.ledger.connections)
    return before


def leave_timeout(root: Owner, before: float | None, error: BaseException | None) -> None:
    """Go back to the timeout from *before* a joined scope; a transaction that failed ends soon anyway."""
    try:
        root.demands.change_timeout(before, root.ledger.connections)
    except Exception as failure:
        if error is None:
            raise
        add_note(error, f"The statement timeout could not be set back: {failure}")
