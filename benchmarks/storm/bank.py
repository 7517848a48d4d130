"""The app under the storm: its tables, and what each unit of work does inside its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_safesession import SafeSession

__all__ = [
    "ACCOUNTS",
    "BALANCE",
    "CONNECTIONS",
    "PLAIN",
    "Account",
    "Ballast",
    "Base",
    "Job",
    "Operation",
    "Order",
    "Site",
    "Slot",
    "move",
    "take",
]

ACCOUNTS: Final = 50
BALANCE: Final = 1_000
_POOL: Final = 6
_OVERFLOW: Final = 2
CONNECTIONS: Final = _POOL + _OVERFLOW
"""How many connections a process has."""

PLAIN: Final[Mapping[str, Mapping[str, Any]]] = {
    "sqlite": {},
    "postgresql": {"sslmode": "disable", "gssencmode": "disable"},
    "mysql": {"ssl_disabled": True},
}
"""What connects without encryption: PyMySQL reads all certificates of the machine for each connection."""


class Base(DeclarativeBase):
    """The declarative base."""


class Account(Base):
    """Money."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    balance: Mapped[int]


class Operation(Base):
    """The ledger: a row for each unit, stored with its effects. Twice the same key is what must not be."""

    __tablename__ = "operation"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(40), index=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    giver: Mapped[int] = mapped_column(default=0)
    taker: Mapped[int] = mapped_column(default=0)
    amount: Mapped[int] = mapped_column(default=0)


class Slot(Base):
    """What only one unit can have."""

    __tablename__ = "slot"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    key: Mapped[str] = mapped_column(sa.String(40))


class Job(Base):
    """A job in phases."""

    __tablename__ = "job"
    key: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    status: Mapped[str] = mapped_column(sa.String(10))


class Ballast(Base):
    """What a transaction writes that is to be larger than others, and never stores."""

    __tablename__ = "ballast"
    id: Mapped[int] = mapped_column(primary_key=True)
    payload: Mapped[str] = mapped_column(sa.String(10))


@dataclass(frozen=True)
class Order:
    """One transfer."""

    key: str
    giver: int
    taker: int
    amount: int
    kind: str = "transfer"


class Site:
    """The app on a database, with the extension or without it."""

    def __init__(self, url: URL, *, safe: bool) -> None:
        self.app = Flask("storm")
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _options(url)
        self.app.config["SAFESESSION_VERIFY_COMMIT"] = url.get_backend_name() == "postgresql"
        self.db = SQLAlchemy(model_class=Base)
        self.safe = SafeSession(self.app, self.db) if safe else None
        self.db.init_app(self.app)
        with self.app.app_context():
            self.engine = self.db.engine
        if url.get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _do_not_sync)

    @property
    def session(self) -> Session:
        """The session of the current context."""
        return cast("Session", self.db.session)


def _options(url: URL) -> dict[str, Any]:
    options: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_size": _POOL,
        "max_overflow": _OVERFLOW,
        "pool_timeout": 1,
    }
    backend = url.get_backend_name()
    connect: dict[str, Any] = {"timeout": 0.5}
    if backend == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"  # which fails where two units meet
        connect = {"connect_timeout": 3, "options": "-c deadlock_timeout=100ms"}
    elif backend == "mysql":
        connect = {"connect_timeout": 3, "read_timeout": 10, "write_timeout": 10}
    return {**options, "connect_args": {**connect, **PLAIN[backend]}}


def _do_not_sync(connection: Any, _: object) -> None:
    """Leave the disk to the operating system, as the servers of the storm do: nobody pulls the plug."""
    connection.execute("PRAGMA synchronous=OFF")


def move(session: Session, order: Order) -> None:
    """Move money, and write it into the ledger."""
    _add(session, order.giver, -order.amount)
    _add(session, order.taker, order.amount)
    session.add(_entry(order))
    session.flush()


_ADD = (
    sa.update(Account)
    .where(Account.id == sa.bindparam("account"))
    .values(balance=Account.balance + sa.bindparam("amount"))
    .execution_options(synchronize_session=False)  # no unit has loaded an account
)


def _add(session: Session, account: int, amount: int) -> None:
    session.execute(_ADD, {"account": account, "amount": amount})


def _entry(order: Order) -> Operation:
    return Operation(
        key=order.key, kind=order.kind, giver=order.giver, taker=order.taker, amount=order.amount
    )


def take(session: Session, key: str, name: str) -> None:
    """Take a slot that somebody else may have."""
    session.add(Operation(key=key, kind="slot"))
    session.flush()
    session.add(Slot(name=name, key=key))
    session.flush()
