"""What a guarded session hears of itself: a connection that joins, a flush, the end of a savepoint."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from .dialects import WIRED, wire_engine
from .holders import take_note
from .ledger import ledger_of
from .places import caller_beyond
from .root import end_page

__all__ = ["listen"]

_DEPTH = 7  # frames between the beginning of a transaction and the method that the session was called by, or more


def listen(target: Any) -> None:
    """Listen to *target*, a guarded session or a class of them."""
    event.listen(
        target, "after_begin", _on_begin, insert=True
    )  # before statements of other listeners
    event.listen(target, "after_flush", _on_flush)
    event.listen(target, "after_soft_rollback", _on_soft_rollback)


def _on_begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    ledger = ledger_of(session)
    root = transaction
    while root.parent is not None:
        root = root.parent
    is_next = bool(ledger.connections) and ledger.transaction is not root
    if is_next:
        end_page(ledger, ledger.connections)  # a listener of the end of that transaction goes on
    elif connection in ledger.connections:
        return
    ledger.transaction = root
    ledger.mark(connection, take_note(ledger.asked or caller_beyond(_DEPTH)))
    if WIRED not in vars(connection.dialect):
        wire_engine(connection.engine, ledger.rules)
    if ledger.owner is not None and not is_next:
        ledger.owner.connected(connection)


def _on_flush(session: Session, _: Any) -> None:
    ledger_of(session).written = True


def _on_soft_rollback(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        ledger_of(session).savepoint_rolled_back(transaction)
