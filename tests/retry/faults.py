"""Faults that a test raises as often as it wants to."""

from __future__ import annotations

import sqlite3

from sqlalchemy import text
from sqlalchemy.orm import Session

from flask_safesession import RetryPolicy

QUICK = RetryPolicy(base_delay=0.001)
"""Three tries, with hardly a wait."""

_CONFLICT = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$",
    "mariadb": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213",
}


def locked() -> sqlite3.OperationalError:
    """A driver's own error that means ``lock_timeout``."""
    return sqlite3.OperationalError("database is locked")


def conflict(session: Session, dialect: str) -> None:
    """Let the database itself end the transaction of *session* with a conflict; SQLite has only our word for it."""
    if dialect == "sqlite":
        raise locked()
    session.execute(text(_CONFLICT[dialect]))


def notes(error: BaseException) -> list[str]:
    """The notes on *error*, on Python 3.10 too."""
    return list(getattr(error, "__notes__", []))
