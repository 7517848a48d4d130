"""What the database says when the storm is over, and what must not be."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from .bank import ACCOUNTS, BALANCE, Account, Base, Job, Operation, Slot
from .diary import Told

__all__ = ["Broken", "count", "fill"]


@dataclass(frozen=True)
class Broken:
    """How often each invariant was broken.

    Attributes:
        lost: Units that were acknowledged and are not stored.
        partial: Accounts, slots and jobs of which a part is stored and a part is not.
        doubled: Units whose effects are stored more than once.
        hooks: Sends of units that are not stored.
        connections: Connections that are out when nobody works any more.
        threads: Threads that do not end.
        hanging: Units that took longer than a caller waits.
    """

    lost: int
    partial: int
    doubled: int
    hooks: int
    connections: int
    threads: int
    hanging: int

    @property
    def holds(self) -> bool:
        """Whether none was."""
        return not any(asdict(self).values())


def fill(url: URL) -> None:
    """Make the tables, and give each account its money."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        rows = [{"id": number, "balance": BALANCE} for number in range(ACCOUNTS)]
        connection.execute(sa.insert(Account), rows)


def count(url: URL, told: Told) -> tuple[int, Broken]:
    """Count the units that are stored, and compare the database with what the diaries tell."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        stored = Counter(connection.execute(sa.select(Operation.key)).scalars())
        partial = _wrong_accounts(connection) + _halves(connection, told)
    return len(stored), Broken(
        lost=len(told.acknowledged - stored.keys()),
        partial=partial,
        doubled=sum(number - 1 for number in stored.values()),
        hooks=sum(key not in stored for key in told.sent),
        connections=told.left["connections"],
        threads=told.left["threads"],
        hanging=len(told.slow),
    )


def _wrong_accounts(connection: Connection) -> int:
    """The accounts whose balance is not what the ledger says."""
    expected = dict.fromkeys(range(ACCOUNTS), BALANCE)
    columns = (Operation.giver, Operation.taker, Operation.amount)
    for giver, taker, amount in connection.execute(sa.select(*columns)):
        expected[giver] -= amount
        expected[taker] += amount
    rows = connection.execute(sa.select(Account.id, Account.balance))
    balances = {row.id: row.balance for row in rows}
    return sum(balances[each] != expected[each] for each in expected)


def _halves(connection: Connection, told: Told) -> int:
    """Slots without their operation and the reverse, and jobs that were acknowledged and not recorded."""
    slots = set(connection.execute(sa.select(Slot.key)).scalars())
    of_slots = sa.select(Operation.key).where(Operation.kind == "slot")
    operations = set(connection.execute(of_slots).scalars())
    at_work = sa.select(Job.key).where(Job.status == "running")
    running = set(connection.execute(at_work).scalars())
    of_jobs = sa.select(Operation.key).where(Operation.kind == "job")
    recorded = set(connection.execute(of_jobs).scalars())
    return len(slots ^ operations) + len(running & recorded)
