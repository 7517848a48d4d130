"""The driver's own code for an error, and what the three databases mean by some of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .faults import Fault

__all__ = [
    "REMARKS",
    "Boundary",
    "begins_late",
    "boundary_of",
    "changes_data",
    "ends_transaction",
    "first_fault",
    "had_timeout",
    "mark_first",
    "mark_timeout",
    "refuses_write",
    "sqlite_code",
    "sqlite_text",
    "sqlstate",
    "vendor_code",
]

# MariaDB rolls back the whole transaction with these: a deadlock, and a record changed since it was read.
_MYSQL_ENDS = {1213, 1020}
# SQLite may do so (https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
_SQLITE_ENDS = {
    "SQLITE_NOMEM",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_FULL",
    "SQLITE_CONSTRAINT",
}

_TIMEOUT = "_safesession_timeout"
_FIRST = "_safesession_first"

# What may stand before the first word. A comment ends at one place only, so that no search takes a second look; MySQL
# and MariaDB execute what is in "/*! ... */".
REMARKS = r"(?:\s|--[^\n]*(?:\n|$)|/\*(?!M?!)(?:[^*]|\*(?!/))*\*/)*"

# Python 3.10's driver does not look behind a comment, where one of its own words may stand.
_WRITES_LATE = re.compile(
    REMARKS + r"(?:(?:create|drop|alter|reindex|analyze|savepoint|insert|update|delete|replace)\b"
    r"|with\b.*\b(?:insert|update|delete|replace)\b)",
    re.IGNORECASE | re.DOTALL,
)
# "BEGIN NOT ATOMIC" opens a block of MariaDB's procedural language, and "ROLLBACK TO" goes back to a savepoint.
_BOUNDARY = re.compile(
    REMARKS + r"(?:(?P<commit>commit|end)"
    r"|(?P<rollback>rollback(?!(?:\s+work|\s+transaction)?\s+to\b)|abort)"
    r"|(?P<begin>begin(?!\s+not\b)|start\s+transaction))\b",
    re.IGNORECASE,
)
_CHANGES = re.compile(REMARKS + r"(insert|update|delete|replace|merge)\b", re.IGNORECASE)

# Python 3.10's sqlite3 gives no code; these are the texts of sqlite3_errstr() and of its constraint messages.
_SQLITE_TEXTS = (
    ("UNIQUE constraint", "SQLITE_CONSTRAINT_UNIQUE"),
    ("FOREIGN KEY constraint", "SQLITE_CONSTRAINT_FOREIGNKEY"),
    ("NOT NULL constraint", "SQLITE_CONSTRAINT_NOTNULL"),
    ("CHECK constraint", "SQLITE_CONSTRAINT_CHECK"),
    ("datatype mismatch", "SQLITE_MISMATCH"),
    ("file is not a database", "SQLITE_NOTADB"),
    ("is malformed", "SQLITE_CORRUPT"),
    ("syntax error", "SQLITE_ERROR"),
    ("no such ", "SQLITE_ERROR"),
    ("constraint failed", "SQLITE_CONSTRAINT"),
    ("database is locked", "SQLITE_BUSY"),
    ("database schema is locked", "SQLITE_LOCKED"),
    ("database table is locked", "SQLITE_LOCKED"),
    ("readonly database", "SQLITE_READONLY"),
    ("disk is full", "SQLITE_FULL"),
    ("disk I/O error", "SQLITE_IOERR"),
    ("unable to open database", "SQLITE_CANTOPEN"),
    ("interrupted", "SQLITE_INTERRUPT"),
    ("out of memory", "SQLITE_NOMEM"),
    ("too big", "SQLITE_TOOBIG"),
    ("not authorized", "SQLITE_AUTH"),
    ("is prohibited", "SQLITE_AUTH"),
)


def sqlstate(error: Any) -> str | None:
    """PostgreSQL's five characters, as psycopg and asyncpg (``sqlstate``) and psycopg2 (``pgcode``) give them."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code if isinstance(code, str) else None


def vendor_code(error: Any) -> int | None:
    """MariaDB's and MySQL's number, the first argument of the errors of all its drivers."""
    code = error.args[0] if getattr(error, "args", ()) else None
    return code if isinstance(code, int) else None


def sqlite_code(error: Any) -> str | None:
    """SQLite's extended code by name."""
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        return name
    return next((code for text, code in _SQLITE_TEXTS if text in str(error)), None)


def sqlite_text(code: str) -> str:
    """What SQLite says to an extended *code*."""
    return next((text for text, name in _SQLITE_TEXTS if code.startswith(name)), code)


def ends_transaction(dialect: str, error: BaseException) -> bool:
    """Whether the database may have rolled back the whole transaction with *error*."""
    if dialect in ("mysql", "mariadb"):
        return vendor_code(error) in _MYSQL_ENDS
    return dialect == "sqlite" and _primary(sqlite_code(error)) in _SQLITE_ENDS


def refuses_write(dialect: str, error: BaseException) -> bool:
    """Whether *error* says that the transaction is read-only."""
    if dialect == "postgresql":
        return sqlstate(error) == "25006"
    if dialect in ("mysql", "mariadb"):
        return vendor_code(error) == 1792
    return _primary(sqlite_code(error)) == "SQLITE_READONLY"


def changes_data(statement: str) -> bool:
    """Whether the SQL text starts like a write."""
    return _CHANGES.match(statement) is not None


class Boundary(NamedTuple):
    """SQL text that begins or ends a transaction: the words, and the method of a session that is meant for it."""

    sql: str
    call: str


def boundary_of(statement: str) -> Boundary | None:
    """What the SQL text does to the transaction, if it is a word for that."""
    found = _BOUNDARY.match(statement)
    if found is None:
        return None
    call = str(found.lastgroup)
    return Boundary(found.group(call), call)


def begins_late(statement: str) -> bool:
    """Whether the SQL text writes, or opens a savepoint, and SQLite's driver may send no BEGIN before it."""
    return _WRITES_LATE.match(statement) is not None


def mark_timeout(error: BaseException) -> None:
    """Note that the scope of *error* had set a statement timeout: PostgreSQL has one code for it and a cancel."""
    vars(error)[_TIMEOUT] = True


def had_timeout(error: BaseException) -> bool:
    """Whether :func:`mark_timeout` has seen *error*."""
    return _TIMEOUT in vars(error)


def mark_first(error: BaseException, fault: Fault) -> None:
    """Note what the first error of the transaction meant, of which *error* is a consequence."""
    vars(error)[_FIRST] = fault


def first_fault(error: BaseException) -> Fault | None:
    """What :func:`mark_first` has noted on *error*."""
    fault: Fault | None = vars(error).get(_FIRST)
    return fault


def _primary(code: str | None) -> str | None:
    return None if code is None else "_".join(code.split("_")[:2])
