"""``classify()``: the error itself, what it was raised from, and the first error of its transaction."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import exc

from ... import errors
from ..driver_codes import first_fault
from ..sending import lost_in_commit
from .drivers import category_of, database, misses_parent, names
from .phase import builtin_category, driver_error, phase
from .table import Fault, category, own_category

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["classify"]

# What has no answer: in COMMIT, nobody knows whether it is stored.
_NO_ANSWER = {"connection_lost", "server_shutdown", "statement_timeout"}
_TABLE = re.compile(r"""\s*update\s+(?:only\s+)?(?:["`\w]+\.)?["`]?(\w+)""", re.IGNORECASE)


def classify(exc: BaseException) -> Fault:
    """Tell what an error means: what kind it is, whether a new try may help, and the HTTP status for it.

    It never raises, whatever it is given. Everything is read from the driver's own code, and from a message only where
    the driver gives no code: PostgreSQL's failed connections, some broken ones, and SQLite on Python 3.10.

    Args:
        exc: Any exception: SQLAlchemy's, a driver's own, or one of this package, whose ``__cause__``, else
            ``__context__``, is followed. A group means what its members mean where they agree.

    Returns:
        The fault; its category is ``"unknown"`` for what is no database error.

    .. versionadded:: 0.1
    """
    try:
        return _follow(exc)
    except Exception:  # noqa: BLE001 - an exception may do anything when it is read, and error handlers must go on
        return Fault("unknown")


def _follow(error: BaseException) -> Fault:
    fault = Fault("unknown")
    for each in _chain(error):
        fault = _read(each)
        if fault.category != "unknown":
            break
    return fault


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and for our own also what caused it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if not issubclass(type(error), errors.SafeSessionError):
            return
        error = error.__cause__ or error.__context__


def _read(error: BaseException) -> Fault:
    if issubclass(type(error), BaseExceptionGroup):
        return _agreed(error)
    return _meaning(error)


def _agreed(group: Any) -> Fault:
    faults = [classify(each) for each in group.exceptions]
    agree = {each.category for each in faults} == {faults[0].category}
    return faults[0] if agree else Fault("unknown")


def _meaning(error: BaseException) -> Fault:
    if _is_doubtful(error):
        return _fault("commit_unknown", None)
    own = own_category(type(error))
    if own is not None:
        return _after_first(_fault(own, None), error)
    name, code = _in_phase(error)
    if isinstance(error, errors.ReadOnlyError):
        # The scope asked for it, and the next try will: only a server that has become read-only is a matter of time.
        return replace(_fault(name, code), transient=False, retry_safe=False, http_status=500)
    return _after_first(_detailed(_fault(name, code), error), driver_error(error))


def _is_doubtful(error: BaseException) -> bool:
    """Whether nobody knows what is stored, or only a part is."""
    doubtful = (errors.CommitOutcomeUnknownError, errors.PartialCommitError)
    return isinstance(error, doubtful) or lost_in_commit(error)


def _fault(name: str, code: str | None) -> Fault:
    row = category(name)
    return Fault(name, code, row.transient, row.retry_safe, row.http_status)


def _in_phase(error: BaseException) -> tuple[str, str | None]:
    """The category and the code, in the light of what was going on."""
    name, code = _by_itself(error)
    invalidated = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    if invalidated and (name == "unknown" or (code is None and name == "programming")):
        name = "connection_lost"
    if name not in _NO_ANSWER:
        return name, code
    during = phase(error)
    if during == "commit":
        return "commit_unknown", code
    if during == "connect" and name == "connection_lost":
        return "connection_refused", code
    return name, code


def _by_itself(error: BaseException) -> tuple[str, str | None]:
    own = driver_error(error)
    dialect = database(own)
    if dialect is not None:
        return category_of(own, dialect)
    if own is error:
        return builtin_category(error), None
    if isinstance(own, exc.SQLAlchemyError):
        return own_category(type(own)) or "unknown", None
    # SQLAlchemy could not convert a parameter.
    refused = not isinstance(error, exc.DBAPIError) and isinstance(own, _CONVERSION)
    return "data" if refused else "unknown", None


_CONVERSION = (ValueError, TypeError, LookupError, ArithmeticError)


def _detailed(fault: Fault, error: BaseException) -> Fault:
    own = driver_error(error)
    fault = replace(fault, **names(own))
    if fault.category == "foreign_key" and _misses_parent(error, own, fault.table):
        return replace(fault, http_status=422)
    return fault


def _misses_parent(error: BaseException, own: BaseException, child: str | None) -> bool:
    """Whether a foreign key failed because the row referred to is missing, where that can be told."""
    told = misses_parent(own)
    if told is not None:
        return told
    statement = getattr(error, "statement", None) or ""
    if statement.lstrip()[:6].lower() == "insert":
        return True
    table = _TABLE.match(statement)
    return table is not None and child is not None and table.group(1) == child


def _after_first(fault: Fault, error: BaseException) -> Fault:
    """What *fault* means in a transaction that an earlier error has broken."""
    first = first_fault(error)
    if first is None or fault.category == "commit_unknown":
        return fault
    if fault.category != "transaction_aborted":
        return first
    status = 503 if first.transient else fault.http_status
    return replace(
        fault, transient=first.transient, retry_safe=first.retry_safe, http_status=status
    )
