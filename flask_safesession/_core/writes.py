"""What a session is asked for, what that changes, and what breaks it: noted where it happens, told at the end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TextClause, TextualSelect
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import FromStatement, Session

from .driver_codes import changes_data, mark_first
from .ledger import ledger_of
from .ownership import check_text
from .places import caller_beyond, outside
from .sharing import admit

__all__ = ["ask", "note_change", "note_first", "note_statement", "note_write"]


def ask(session: Session, statement: Any) -> Any:
    """What comes before each statement: who sends it, and from where; return the statement to send.

    Args:
        session: A guarded session, in a method that the program or SQLAlchemy called.
        statement: What is to be sent.
    """
    admit(session)
    ledger = ledger_of(session)
    if type(statement) is TextClause and ledger.guarded:
        statement = check_text(session, statement)
    ledger.last = statement
    if not ledger.connections:
        ledger.asked = caller_beyond(2)
    return statement


def note_first(session: Session, error: PendingRollbackError) -> None:
    """Leave on *error* what the error meant that made the session wait for its rollback."""
    failure = ledger_of(session).failure
    if failure is not None:
        mark_first(error, failure.fault)


def note_change(session: Session) -> None:
    """Remember the line of the first change, for the report of what nobody committed."""
    ledger = ledger_of(session)
    if ledger.change is None and ledger.owner is None:
        ledger.change = outside()


def note_write(session: Session) -> None:
    """Remember that the transaction has sent a write."""
    ledger_of(session).written = True
    note_change(session)


def note_statement(session: Session, statement: Any) -> None:
    """Remember a statement, unless it only reads."""
    sent = statement
    while isinstance(sent, (FromStatement, TextualSelect)):
        sent = sent.element  # what rows or objects are made from may write, too
    if getattr(sent, "is_dml", False) or _is_written_by_hand(sent):
        note_write(session)
    elif not getattr(sent, "is_select", False):
        ledger_of(session).unclear = True


def _is_written_by_hand(statement: Any) -> bool:
    return isinstance(statement, TextClause) and changes_data(statement.text)
