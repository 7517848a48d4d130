"""What a session leaves behind when its unit of work ends: the report, and the clean-up."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import NamedTuple, cast

from sqlalchemy.orm import Session, SessionTransaction

from .. import errors
from .binding import allow_statements, refuse_statements
from .ledger import ledger_of
from .places import Caller
from .wording import session_ended

__all__ = [
    "Report",
    "complain",
    "discard",
    "give_back",
    "invalidate",
    "is_idle",
    "roll_back",
    "uncommitted",
]

logger = logging.getLogger("flask_safesession")


class Report(NamedTuple):
    """Changes that nobody committed, the call that made the first of them, where it is known, and whose they are."""

    what: str
    first: Caller | None
    whose: str = "A context"

    @property
    def text(self) -> str:
        """The whole message."""
        since = "" if self.first is None else f" The first change was made by {self.first.place}."
        return (
            f"{self.whose} ended with changes that nobody committed; they were rolled back: {self.what}.{since} Put "
            "the work into 'with session_manager():' or under '@transactional', or roll back where you mean it."
        )


def discard(session: Session) -> None:
    """Close *session*; no ``rollback()`` comes first, so that objects which outlive it keep their values."""
    _end(session, session.close)


def invalidate(session: Session) -> None:
    """Drop the connections of *session*, and let nobody use it again."""
    _end(session, session.invalidate)
    refuse_statements(session, session_ended)


def roll_back(session: Session) -> None:
    """Roll *session* back, and keep its objects attached."""
    _end(session, session.rollback)


def is_idle(session: Session) -> bool:
    """Whether the open transaction of *session* has only read."""
    waits = ledger_of(session).hooks is not None or session.in_nested_transaction()
    return not waits and uncommitted(session) is None


def give_back(session: Session) -> None:
    """End the transaction of *session*, and keep its objects attached.

    One that has only read is not rolled back: the connection may be lent by a test that needs its rows.
    """
    if is_idle(session):
        _end(session, lambda: _let_go(session))
    else:
        roll_back(session)


def _let_go(session: Session) -> None:
    cast(SessionTransaction, session.get_transaction()).close()
    session.expire_all()


def _end(session: Session, end: Callable[[], None]) -> None:
    """What cannot be ended is logged, and its connection not used again."""
    _disown(session)
    try:
        end()
    except Exception:
        logger.exception("A session could not be ended with its context.")
        session.invalidate()


def _disown(session: Session) -> None:
    ledger_of(session).own(None)
    allow_statements(session)


def uncommitted(session: Session) -> Report | None:
    """What *session* would lose, and the line of its first change."""
    if not session.in_transaction():
        return None  # SQLAlchemy begins with the first change
    ledger = ledger_of(session)
    counts = {
        "new": len(session.new),
        "changed": _modified(session),
        "deleted": len(session.deleted),
    }
    pending = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    written = ledger.written
    if not pending and not written:
        return None
    parts = ([f"{pending} object(s)"] if pending else []) + (
        ["statements already sent"] if written else []
    )
    return Report(" and ".join(parts), ledger.change)


def _modified(session: Session) -> int:
    return sum(session.is_modified(each) for each in session.dirty)


def complain(report: Report) -> None:
    """Warn about *report* at the line of the first change."""
    if report.first is None:
        warnings.warn_explicit(
            report.text, errors.UncommittedChangesWarning, "flask_safesession", 0
        )
    else:
        report.first.warn(report.text, errors.UncommittedChangesWarning)
