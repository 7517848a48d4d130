"""What the open transaction of a session has changed, and what broke it: noted where it happens, told at its end."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session

from .driver_codes import changes_data, mark_first
from .ledger import ledger_of
from .places import outside

__all__ = ["note_change", "note_first", "note_statement", "note_write"]


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
    """Remember a statement that is no SELECT."""
    if getattr(statement, "is_dml", False) or _is_written_by_hand(statement):
        note_write(session)
    else:
        ledger_of(session).unclear = True


def _is_written_by_hand(statement: Any) -> bool:
    return isinstance(statement, TextClause) and changes_data(statement.text)
