"""What this package knows about one session: who owns its transaction, what broke it, who waits for its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import PoolProxiedConnection

from .. import errors
from .hooks import Hook, HookErrors, HookQueue, run_hook
from .outcome import Outcome
from .places import Caller, Place

if TYPE_CHECKING:
    from weakref import ref

    from .faults import Fault
    from .holders import Note
    from .pact import Pact
    from .runners import Runner
    from .scope import Owner
    from .sharing import Tenant

__all__ = [
    "NOWHERE",
    "Failure",
    "Ledger",
    "Origin",
    "Rules",
    "attach",
    "driver_connection",
    "find_ledger",
    "ledger_of",
    "note_begin",
]

GuardMode = Literal["raise", "warn", "off"]
OwnershipMode = Literal["raise", "warn", "defer", "off"]

_ATTRIBUTE = "_safesession_ledger"


class Origin(NamedTuple):
    """The application context and the request in which something began."""

    context: ref[Any] | None = None
    request: ref[Any] | None = None

    def is_in(self, context: object) -> bool:
        """Whether it lies in that application context."""
        return self.context is not None and self.context() is context


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of one app as far as its sessions need them.

    Attributes:
        ownership: What happens when code ends a transaction that it does not own.
        ownership_modules: The same by the name of the calling package.
        sharing: What happens when a session is used by another than the one who has it; None without an app.
        hook_errors: Tells whether hooks' errors are raised or logged.
        twophase: Tells whether sessions prepare on every database before the first COMMIT; None if never.
        engine_name: The name under which the app knows an engine.
        commit_timeout: Seconds after which a COMMIT without an answer is given up; None waits.
        verify_seconds: Seconds that may be spent on the fate of a COMMIT whose answer is lost; None does not ask.
        held_connection: What happens to who holds a connection too long.
        held_seconds: How long that is.
        origin: Tells where its caller is.
        describe: Puts an origin into words.
        run_hook: Runs a hook.
    """

    ownership: OwnershipMode = "off"
    ownership_modules: Mapping[str, OwnershipMode] = field(default_factory=dict)
    sharing: GuardMode | None = None
    hook_errors: Callable[[], HookErrors] = lambda: "log"
    twophase: Callable[[], bool] | None = None
    engine_name: Callable[[Engine], str] = lambda engine: engine.url.render_as_string()
    commit_timeout: float | None = None
    verify_seconds: float | None = None
    held_connection: GuardMode = "off"
    held_seconds: float = 10.0
    origin: Callable[[], Origin] = lambda: NOWHERE
    describe: Callable[[Origin], str | None] = lambda origin: None
    run_hook: Callable[[Hook], object] = run_hook

    def mode_for(self, module: str) -> OwnershipMode:
        """The mode for a caller, by the longest package name that is set for it."""
        while module:
            if module in self.ownership_modules:
                return self.ownership_modules[module]
            module = module.rpartition(".")[0]
        return self.ownership


@dataclass(frozen=True)
class Failure:
    """A statement that failed.

    Attributes:
        text: The database's own words.
        place: The line of the program that sent it.
        error: The exception, kept only inside a scope, which ends soon: it holds frames.
        fatal: Whether the database ended the whole transaction with it.
        fault: What it means.
    """

    text: str
    place: Place
    error: BaseException | None
    fatal: bool
    fault: Fault


class Ledger:
    """The record of one session.

    Attributes:
        rules: The settings of its app.
        owner: The scope that owns the transaction.
        guarded: The transaction belongs to *owner*, who has not begun to end it.
        permitting: Somebody else ends it now, and the settings let it.
        written: The transaction has sent writes.
        unclear: It may have sent others: SQL by hand, or through a connection that was given away.
        change: The line of the first change that no scope owns.
        root: The transaction, where somebody holds it in hand.
        transaction: The same in any case, from its first connection on.
        hooks: What waits for its outcome.
        lenders: For a connection that two sessions share, the one that had it first.
        failure: The first statement that failed.
        undone: One that failed was undone with its savepoint, if SQLAlchemy had sent that before.
        connections: The connections that take part, each with what it has from its pool.
        sent: The COMMITs of the session are under way, or were.
        stored: Every database has answered COMMIT.
        pact: The parts that prepare before the first COMMIT.
        begun: The SQLite connections whose BEGIN was sent by us, not by the driver before a write, each with the
            number of rows that it had changed until then.
        runner: The one that used the session last and is not asked again.
        giver: The one that handed it on.
        seat: Where the one sits that has the session; it is taken in one step.
        guests: What SQLAlchemy has spawned for tasks that use the session beside its own.
        origin: Where the session was made.
        notes: For each of the connections, where and when it joined.
        last: The last statement that the session was given.
        asked: The line that asked for what the session is doing, where that may take the first connection.
        overdue: A connection that it has held too long, and what to say to who goes on with it.
    """

    __slots__ = (
        "asked",
        "begun",
        "change",
        "connections",
        "failure",
        "giver",
        "guarded",
        "guests",
        "hooks",
        "last",
        "lenders",
        "notes",
        "origin",
        "overdue",
        "owner",
        "pact",
        "permitting",
        "root",
        "rules",
        "runner",
        "seat",
        "sent",
        "stored",
        "transaction",
        "unclear",
        "undone",
        "written",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules: Rules = rules
        self.owner: Owner | None = None
        self.guarded: bool = False
        self.permitting: bool = False
        self.sent: bool = False
        self.stored: bool = False
        self.written: bool = False
        self.unclear: bool = False
        self.change: Caller | None = None
        self.root: SessionTransaction | None = None
        self.transaction: SessionTransaction | None = None
        self.hooks: HookQueue | None = None
        self.lenders: dict[Connection, Ledger] = {}
        self.failure: Failure | None = None
        self.undone: bool = False
        self.connections: dict[Connection, PoolProxiedConnection] = {}
        self.begun: dict[Connection, int] = {}
        self.pact: Pact | None = None
        self.runner: Runner | None = None
        self.giver: Runner | None = None
        self.seat: dict[str, Tenant] = {}
        self.guests: list[Any] = []
        self.origin: Origin = rules.origin()
        self.notes: dict[Connection, Note] = {}
        self.last: Any = None
        self.asked: Place | None = None
        self.overdue: tuple[PoolProxiedConnection, str] | None = None

    def own(self, owner: Owner | None) -> None:
        """Give the transaction to *owner*, or to nobody."""
        self.owner = owner
        self.guarded = owner is not None
        self.sent = self.stored = False  # what the transaction before this one did

    def end(self) -> None:
        """Close the page: nothing of the transaction is kept but the hooks that wait for it."""
        for connection in self.connections:
            if getattr(connection, _ATTRIBUTE, None) is self:
                del connection._safesession_ledger  # type: ignore[attr-defined]
                if self.lenders:
                    self._give_back(connection)
        self.root = self.transaction = None
        self.failure = None
        self.written = self.unclear = self.undone = False
        self.change = None
        self.connections = {}
        self.lenders = {}
        self.begun = {}
        self.pact = None
        self.notes = {}
        self.last = None
        self.overdue = None

    def check_overdue(self) -> None:
        """Refuse to go on with a connection that was held too long.

        Raises:
            HeldConnectionError: If it was, and the settings say so.
        """
        if self.overdue is not None and self.overdue[0] in self.connections.values():
            raise errors.HeldConnectionError(self.overdue[1])

    def _give_back(self, connection: Connection) -> None:
        """Leave *connection* to the session that had it before: tests lend one to several."""
        if (lender := self.lenders.get(connection)) and connection in lender.connections:
            connection._safesession_ledger = lender  # type: ignore[attr-defined]

    def add_hook(self, hook: Hook) -> None:
        if self.hooks is None:
            self.hooks = HookQueue()
        self.hooks.add(hook)

    def run_hooks(self, outcome: Outcome, scope: object = None) -> None:
        """Run the hooks that waited for the transaction; see :meth:`HookQueue.drain`."""
        queue, self.hooks = self.hooks or HookQueue(), None
        queue.drain(outcome, self.rules.hook_errors(), self, scope, self.rules.run_hook)

    def fail(self, failure: Failure) -> None:
        """Keep the first failure: a deadlock inside a savepoint shows later as "savepoint does not exist"."""
        if self.failure is None or (failure.fatal and not self.failure.fatal):
            self.failure = failure

    def savepoint_rolled_back(self, savepoint: SessionTransaction) -> None:
        """Forget what was undone with the savepoint."""
        # Without a connection SAVEPOINT was never sent, and nothing undone: what failed did so before.
        if self.failure is not None and not self.failure.fatal and savepoint._connections:  # noqa: SLF001
            self.failure = None
            self.undone = True
        if self.hooks is not None:
            self.hooks.savepoint_rolled_back(savepoint)

    def connection_of(self, fairy: PoolProxiedConnection) -> Connection:
        """The connection that has *fairy* from its pool."""
        return next(each for each, lent in self.connections.items() if lent is fairy)

    def mark(self, connection: Connection, note: Note) -> None:
        """Note a connection that joined the transaction, and who took it."""
        if (lender := getattr(connection, _ATTRIBUTE, None)) is not None:
            self.lenders[connection] = lender
        self.connections[connection] = connection.connection
        self.notes[connection] = note
        connection._safesession_ledger = self  # type: ignore[attr-defined]


def attach(session: Session, rules: Rules) -> Ledger:
    """Give *session* its record."""
    ledger = session._safesession_ledger = Ledger(rules)  # type: ignore[attr-defined]
    return ledger


def find_ledger(holder: Any) -> Ledger | None:
    """The record of a session, or of the session whose transaction a connection takes part in."""
    ledger: Ledger | None = getattr(holder, _ATTRIBUTE, None)
    return ledger


def ledger_of(session: Session) -> Ledger:
    """The record of a guarded session."""
    ledger: Ledger = session._safesession_ledger  # type: ignore[attr-defined]
    return ledger


def driver_connection(connection: Connection) -> Any:
    """What the driver itself calls a connection: SQLAlchemy puts an adapter around those of asynchronous drivers."""
    raw = connection.connection.dbapi_connection
    return getattr(raw, "driver_connection", raw)


def note_begin(connection: Connection) -> None:
    """Remember that BEGIN was sent to SQLite by us, and how many rows *connection* had changed until then."""
    ledger = find_ledger(connection)
    if ledger is not None:
        ledger.begun[connection] = driver_connection(connection).total_changes
