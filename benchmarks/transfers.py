"""``python -m benchmarks.transfers``: many threads move money between few accounts; each transfer is done, and once.

The ledger has a row for each transfer, stored in the same transaction: one that was lost, or applied twice, shows
as an account whose balance is not what the ledger says.
"""

from __future__ import annotations

import argparse
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.databases import mariadb, postgresql
from flask_safesession import RetryPolicy, SafeSession, current_scope, transactional

__all__ = ["Figures", "Load", "move_money"]

BALANCE = 1_000
POLICY = RetryPolicy(attempts=1_000, base_delay=0.005, max_delay=0.5, max_elapsed=300.0)
LEVELS = {
    "postgresql": "SERIALIZABLE",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
}


@dataclass(frozen=True)
class Load:
    """How much is moved."""

    threads: int = 32
    each: int = 200
    accounts: int = 20

    @property
    def transfers(self) -> int:
        """All of them together."""
        return self.threads * self.each


@dataclass(frozen=True)
class Figures:
    """What was counted when all threads had ended.

    Attributes:
        succeeded: Transfers that returned.
        errors: What the others raised, with its number.
        recorded: Rows of the ledger.
        total: All balances together.
        wrong: Accounts whose balance is not what the ledger says.
        retried: Transfers that took more than one try.
        tries: All tries of the transfers that succeeded.
        most: The most tries of one of them.
        out: Connections that are not back in the pool.
        seconds: From the first to the last.
    """

    succeeded: int
    errors: dict[str, int]
    recorded: int
    total: int
    wrong: int
    retried: int
    tries: int
    most: int
    out: int
    seconds: float

    def holds(self, load: Load) -> bool:
        """Whether each transfer was done, and once."""
        done = self.succeeded == self.recorded == load.transfers
        return done and self.total == load.accounts * BALANCE and not self.wrong and not self.out


class Bank:
    """An app with accounts and a ledger on *url*."""

    def __init__(self, url: URL, load: Load, retry: RetryPolicy | None) -> None:
        self.app = Flask("bank")
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "pool_size": load.threads,
            "max_overflow": 0,
        }
        self.db, self.account, self.entry = _models()
        self.db.init_app(self.app)
        SafeSession(self.app)
        self.accounts = load.accounts
        self.transfer = self._transfer(url.get_backend_name(), retry)
        with self.app.app_context():
            self.db.create_all()
            rows = [{"id": number, "balance": BALANCE} for number in range(load.accounts)]
            self.db.session.execute(sa.insert(self.account), rows)
            self.db.session.commit()

    def _transfer(
        self, backend: str, retry: RetryPolicy | None
    ) -> Callable[[str, int, int, int], int]:
        """The service under test; PostgreSQL tells conflicts by itself, MariaDB by its row locks."""
        locks: dict[str, Any] = {"with_for_update": True} if backend != "postgresql" else {}

        @transactional(retry=retry, isolation_level=LEVELS[backend])
        def transfer(operation: str, giver: int, taker: int, amount: int) -> int:
            session = self.db.session
            session.add(self.entry(id=operation, giver=giver, taker=taker, amount=amount))
            session.get_one(self.account, giver, **locks).balance -= amount
            session.get_one(self.account, taker, **locks).balance += amount
            scope = current_scope()
            return 0 if scope is None else scope.attempt

        return transfer

    def work(self, seed: int, count: int) -> Counter[int | str]:
        """Make *count* transfers; return how often each number of tries was needed, and each error."""
        chosen = random.Random(seed)
        outcomes: Counter[int | str] = Counter()
        for _ in range(count):
            giver, taker = chosen.sample(range(self.accounts), 2)
            try:
                with self.app.app_context():
                    outcomes[
                        self.transfer(uuid.uuid4().hex, giver, taker, chosen.randint(1, 9))
                    ] += 1
            except Exception as error:  # noqa: BLE001 - the table shows it
                outcomes[f"{type(error).__name__}: {error}"] += 1
        return outcomes

    def count(self, outcomes: Counter[int | str], seconds: float) -> Figures:
        """Compare the accounts with the ledger."""
        with self.app.app_context():
            balances = self._balances()
            expected = dict.fromkeys(balances, BALANCE)
            entries = self.db.session.scalars(sa.select(self.entry)).all()
            for entry in entries:
                expected[entry.giver] -= entry.amount
                expected[entry.taker] += entry.amount
            recorded = len(entries)
        tries = {each: number for each, number in outcomes.items() if isinstance(each, int)}
        with self.app.app_context():
            pool: Any = self.db.engine.pool
            out = pool.checkedout()
            self.db.drop_all()
            self.db.engine.dispose()
        return Figures(
            succeeded=sum(tries.values()),
            errors={each: number for each, number in outcomes.items() if isinstance(each, str)},
            recorded=recorded,
            total=sum(balances.values()),
            wrong=sum(balances[each] != expected[each] for each in balances),
            retried=sum(number for each, number in tries.items() if each > 1),
            tries=sum(each * number for each, number in tries.items()),
            most=max(tries, default=0),
            out=out,
            seconds=seconds,
        )

    def _balances(self) -> dict[int, int]:
        rows = self.db.session.execute(sa.select(self.account.id, self.account.balance))
        return {row.id: row.balance for row in rows}


def _models() -> tuple[SQLAlchemy, Any, Any]:
    class Base(DeclarativeBase):
        pass

    class Account(Base):
        __tablename__ = "account"
        id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
        balance: Mapped[int]

    class Entry(Base):
        __tablename__ = "entry"
        id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
        giver: Mapped[int]
        taker: Mapped[int]
        amount: Mapped[int]

    return SQLAlchemy(model_class=Base), Account, Entry


def move_money(url: URL, load: Load, retry: RetryPolicy | None = POLICY) -> Figures:
    """Run *load* on the database *url*, whose tables are made and dropped."""
    bank = Bank(url, load, retry)
    started = time.perf_counter()
    with ThreadPoolExecutor(load.threads) as pool:
        parts = list(pool.map(bank.work, range(load.threads), [load.each] * load.threads))
    return bank.count(sum(parts, Counter()), time.perf_counter() - started)


def main() -> int:
    """Run the load on both databases, print the figures, and return 1 where a transfer was lost or done twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--threads", type=int, default=Load.threads)
    parser.add_argument("--each", type=int, default=Load.each, help="transfers of each thread")
    options = parser.parse_args()
    load = Load(options.threads, options.each)
    broken = 0
    for database in (postgresql, mariadb):
        with database() as url:
            figures = move_money(url, load)
        print(f"{url.get_backend_name()}, {LEVELS[url.get_backend_name()]}, {load}:\n  {figures}")
        broken += not figures.holds(load)
    return min(broken, 1)


if __name__ == "__main__":
    raise SystemExit(main())
