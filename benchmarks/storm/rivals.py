"""Somebody else who works on the same rows: the units of work meet deadlocks and changes that they have not seen."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import OperationalError

from .bank import ACCOUNTS, PLAIN, Account, Ballast

__all__ = ["Rival"]

_PAUSE: Final = 0.03  # seconds, in which others come to wait for the row that it holds
_PATIENCE: Final = (
    "SET deadlock_timeout = '300ms'"  # longer than that of the units, who are to be the victims
)
_WEIGHT: Final = 30  # rows; InnoDB rolls back the transaction that has changed fewer


class Rival:
    """A transaction beside the app's."""

    def __init__(self, url: URL) -> None:
        self._engine = sa.create_engine(
            url,
            poolclass=sa.NullPool,
            isolation_level="READ COMMITTED",
            connect_args={**PLAIN[url.get_backend_name()]},
        )
        self._pause = threading.Event()

    def lock_across(self, chosen: random.Random) -> None:
        """Hold half of the rows until others wait for them, then ask for theirs; roll back."""
        rows = _shuffled(chosen)
        mine, theirs = rows[: ACCOUNTS // 2], rows[ACCOUNTS // 2 :]
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(_PATIENCE)
            else:
                connection.execute(sa.insert(Ballast), [{"payload": "x"}] * _WEIGHT)
            _touch(connection, mine)
            self._pause.wait(_PAUSE)
            with suppress(OperationalError):  # it may be the victim itself
                _touch(connection, theirs)
            connection.rollback()

    def change_ahead(self, chosen: random.Random) -> None:
        """Store another version of rows that others wait for."""
        with self._engine.begin() as connection:
            _touch(connection, _shuffled(chosen)[: ACCOUNTS // 5])
            self._pause.wait(_PAUSE)


def _shuffled(chosen: random.Random) -> list[int]:
    return chosen.sample(range(ACCOUNTS), ACCOUNTS)


def _touch(connection: Connection, accounts: Iterable[int]) -> None:
    """Write *accounts*, one after the other, and leave the money where it is."""
    for each in accounts:
        change = sa.update(Account).where(Account.id == each)
        connection.execute(change.values(balance=Account.balance))
