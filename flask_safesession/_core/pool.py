"""Whether a second connection can be had while the first is held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import AssertionPool, QueuePool, SingletonThreadPool, StaticPool

from .. import errors
from .ledger import Ledger, driver_connection

if TYPE_CHECKING:
    from .scope import Scope

__all__ = ["capacity", "check_second_connection"]

_LEGACY = -1  # sqlite3.LEGACY_TRANSACTION_CONTROL of Python 3.12: the driver begins before a write


def check_second_connection(
    engine: Engine, held: Iterable[Ledger], scope: Scope | None, *, read_only: bool
) -> None:
    """Raise at once where a second transaction on *engine* could only wait for its own caller.

    Args:
        engine: The engine that is asked for another connection.
        held: The records of the sessions that wait for the second transaction to end.
        scope: The innermost scope among them.
        read_only: Whether the second transaction writes nothing.

    Raises:
        PoolStarvationError: If the suspended sessions hold every connection that the pool may open.
        SelfDeadlockError: If one of them has written to the same SQLite file.
    """
    pool = engine.pool
    taken = [
        (each, ledger) for ledger in held for each in ledger.connections if each.engine.pool is pool
    ]
    if not taken:
        return
    limit = capacity(engine)
    if limit is not None and len(taken) >= limit:
        raise _starved(engine, len(taken), limit, scope)
    if (
        engine.dialect.name == "sqlite"
        and not read_only
        and any(_has_written(*each) for each in taken)
    ):
        raise _deadlocked(engine, scope)


def capacity(engine: Engine) -> int | None:
    """The most connections that one thread can have at a time; None if there is no limit."""
    pool = engine.pool
    if isinstance(pool, (AssertionPool, SingletonThreadPool, StaticPool)):
        return 1
    if not isinstance(pool, QueuePool):
        return None
    overflow = int(getattr(pool, "_max_overflow", 0))
    unlimited = overflow < 0 or pool.size() == 0
    return None if unlimited else pool.size() + overflow


def _starved(
    engine: Engine, taken: int, limit: int, scope: Scope | None
) -> errors.PoolStarvationError:
    return errors.PoolStarvationError(
        f"A second connection to '{engine.url}' was needed while {_holder(scope)} holds {taken} of the {limit} that "
        "its pool can give: it would wait for itself. Make the pool larger ('pool_size', 'max_overflow'), or join "
        "the open transaction with 'propagation=\"nested\"'."
    )


def _deadlocked(engine: Engine, scope: Scope | None) -> errors.SelfDeadlockError:
    return errors.SelfDeadlockError(
        f"A second transaction on '{engine.url}' was asked for while {_holder(scope)} has written to the same SQLite "
        "file, which has one writer at a time: it would wait for itself. Open it before the first write, make it "
        "'read_only=True', or join the open transaction with 'propagation=\"nested\"'."
    )


def _holder(scope: Scope | None) -> str:
    return (
        "the session of this context"
        if scope is None
        else f"the transaction that {scope.owner_text}"
    )


def _has_written(connection: Connection, ledger: Ledger) -> bool:
    """Whether the transaction holds SQLite's write lock, as far as it can be told.

    The driver itself begins only before a write; where somebody sends BEGIN, what the session has sent tells. A pool
    that lends one connection to a whole test keeps count by itself.
    """
    told: Any = getattr(connection.engine.pool, "wrote", None)
    if told is not None:
        return bool(told(connection.connection))
    raw = driver_connection(connection)
    if not raw.in_transaction:
        return False
    before = ledger.begun.get(connection)
    if before is not None and raw.total_changes > before:
        return True
    on_its_own = raw.isolation_level is not None and getattr(raw, "autocommit", _LEGACY) == _LEGACY
    return ledger.written or (on_its_own and before is None)
