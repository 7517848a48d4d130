"""What becomes of a statement where savepoints stand in for transactions."""

from __future__ import annotations

import functools
import re
from typing import Any, Literal

from sqlalchemy.engine.interfaces import ExecutionContext

from .. import errors
from .._core.driver_codes import REMARKS
from .._core.places import outside
from ._lending import SharedConnection
from ._loans import Loan, loan_of

__all__ = ["Translator", "ends_on_the_way", "kind_of", "without_remarks"]

Kind = Literal["read", "write", "begin", "commit", "rollback", "set", "local", "savepoint"]

_KINDS: tuple[tuple[Kind, str], ...] = (
    ("savepoint", r"(savepoint|release(\s+savepoint)?|rollback\s+to(\s+savepoint)?)\s+\S+\s*$"),
    ("begin", r"(begin|start\s+transaction)\b"),
    ("commit", r"(commit|end)\b(?!\s+prepared)"),
    ("rollback", r"(rollback|abort)\b(?!\s+prepared)"),
    ("set", r"set\s+(session\s+)?transaction\b|set\s+session\s+characteristics\b"),
    ("local", r"set\s+local\b"),
    ("read", r"(\(?\s*select|table|show|explain|pragma|set|values|desc|describe)\b"),
)
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(text, re.IGNORECASE)) for kind, text in _KINDS
)
_REMARKS = re.compile(REMARKS)
_WITH = re.compile(r"with\b", re.IGNORECASE)
_LOCK = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b|\breplace\s*\(", re.IGNORECASE)
_CHANGE = re.compile(r"\b(?:insert|update|delete|merge|replace|into)\b", re.IGNORECASE)
_MORE = re.compile(r";\s*\S")
_ENDS = re.compile(
    r";\s*(?:begin|start\s+transaction|commit|end|rollback(?!\s+to\b)|abort|prepare\s+transaction)\b",
    re.IGNORECASE,
)
_BODY = re.compile(r"create\b|.*\$\w*\$", re.IGNORECASE | re.DOTALL)
_QUOTES = '"`'


@functools.lru_cache(maxsize=1024)
def kind_of(statement: str) -> Kind:
    """What *statement* does, told by how it begins; after WITH, any word for a change makes it a write."""
    bare = without_remarks(statement)
    for kind, pattern in _PATTERNS:
        if pattern.match(bare):
            return kind
    is_read = _WITH.match(bare) and not _CHANGE.search(_LOCK.sub("", bare))
    return "read" if is_read else "write"


def without_remarks(statement: str) -> str:
    """*statement* from its first word on."""
    return statement[_REMARKS.match(statement).end() :]  # type: ignore[union-attr]  # it matches nothing as well


@functools.lru_cache(maxsize=1024)
def ends_on_the_way(statement: str) -> bool:
    """Whether *statement* is several in one text, of which one begins or ends a transaction."""
    if ";" not in statement or _BODY.match(without_remarks(statement)):
        return False
    is_end = kind_of(statement) in ("begin", "commit", "rollback")
    return (_MORE if is_end else _ENDS).search(statement) is not None


class Translator:
    """Sends the statements of the connections that were lent, and what is right in place of some.

    Args:
        shared: The one connection.
    """

    def __init__(self, shared: SharedConnection) -> None:
        self._shared = shared
        self._database = shared.database

    def send(self, method: str, cursor: Any, statement: str, rest: tuple[Any, ...]) -> bool:
        """Send *statement* through the dialect's *method*; False leaves it to SQLAlchemy."""
        context: ExecutionContext = rest[-1]
        loan = loan_of(context.root_connection.connection)
        if loan is None:
            return False  # a connection from before the test
        loan.read(cursor)
        with self._shared.sending(loan):
            text = self._translated(loan, statement)
            if text is not None:
                getattr(context.dialect, method)(cursor, text, *rest)
        return True

    def _translated(self, loan: Loan, statement: str) -> str | None:
        """What is to be sent; None for nothing."""
        if ends_on_the_way(statement):
            raise errors.IsolationUnavailableError(
                f"{outside().place} sent several statements in one text, of which one begins or ends a transaction: "
                "the test could not be rolled back any more. Send them one by one, or give the test real transactions "
                "with '@pytest.mark.safesession(isolation=\"commit\")'."
            )
        kind = kind_of(statement)
        if kind == "read":
            return statement
        if kind == "write":
            return self._write(loan, statement)
        if kind == "savepoint":
            return self._savepoint(loan, statement)
        if kind == "set":
            return self._set(loan, statement)
        if kind == "local":
            return self._local(loan, statement)
        self._end(loan, kind)
        return None

    def _write(self, loan: Loan, statement: str) -> str:
        self._database.vet(statement)
        error = self._database.read_only_error() if loan.is_read_only else None
        if error is not None:
            raise error
        self._shared.note_write(loan)
        return statement

    def _savepoint(self, loan: Loan, statement: str) -> str:
        """Each loan has names of its own: MariaDB forgets a savepoint whose name comes again."""
        *words, name = without_remarks(statement).split()
        name = f"{name.strip(_QUOTES)}_{loan.savepoint}"
        command = " ".join(words).upper()
        loan.nest(command, name)
        return f"{command} {name}"

    def _set(self, loan: Loan, statement: str) -> str | None:
        loan.is_read_only = "READ ONLY" in statement.upper()
        return self._database.set_transaction(statement)

    def _local(self, loan: Loan, statement: str) -> str:
        undo = self._database.setting(statement, self._shared.raw)
        if undo is not None:
            loan.undo.insert(0, undo)
        return statement

    def _end(self, loan: Loan, kind: Kind) -> None:
        if kind == "commit":
            self._shared.commit(loan)
        elif kind == "rollback":
            self._shared.rollback(loan)
