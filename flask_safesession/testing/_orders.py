"""What a test orders from its databases, and what it cannot order: told where it does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

from .._core.places import Place, outside
from ._driver_errors import check_error, database, error_names

__all__ = ["Call", "Plan", "check_call", "make_plan"]

Call = Literal["commit", "flush", "savepoint", "rollback", "connect", "execute"]

_CALLS = ("commit", "flush", "savepoint", "rollback", "connect", "execute")
_AT_CONNECT = (
    *("connection_refused", "too_many_connections", "server_shutdown", "disk_full", "corrupt"),
    *("permission", "programming", "pool_timeout"),
)


@dataclass
class Plan:
    """One error that is to come.

    Attributes:
        call: What fails.
        left: How many of these calls are left until then, itself included; less than one if another error came first.
        error: The category of the error; None for a connection that is to be killed.
        matching: The statements that count.
        is_late: The database does its work, and the answer is lost.
        place: Who ordered it.
    """

    call: str
    left: int
    error: str | None
    matching: re.Pattern[str] | None
    is_late: bool
    place: Place

    def counts(self, call: str, statement: str) -> bool:
        """Whether this *call* is one of those."""
        return self.call == call and (
            self.matching is None or self.matching.search(statement) is not None
        )

    @property
    def never_came(self) -> str:
        """What is told of it at the end."""
        return (
            f"An error that {self.place} has ordered for '{self.call}' never came: {max(self.left, 1)} more of these "
            "calls were to be made first. Let the code under test make them inside the test, or take the order back "
            "out of it."
        )


def check_call(engines: Iterable[Engine], call: str, error: Any) -> None:
    """Refuse a *call* that cannot fail, and an *error* that it never fails with.

    Raises:
        TypeError: If *error* is no text.
        ValueError: In the other cases.
    """
    if call not in _CALLS:
        raise ValueError(f"{call!r} is no call that can fail. Give one of {', '.join(_CALLS)}.")
    if not isinstance(error, str):
        raise TypeError(
            f"'error' is {error!r}. Give the name of a category, such as 'deadlock' or 'connection_lost'."
        )
    for engine in engines:
        check_error(engine, error)
        given = [each for each in error_names(engine) if _may_fail(engine, call, each)]
        if error not in given:
            raise ValueError(
                f"'{call}' never fails with '{error}' on '{database(engine)}'. Give one of {', '.join(given)}."
            )


def _may_fail(engine: Engine, call: str, error: str) -> bool:
    if call == "connect":
        return error in _AT_CONNECT
    if error == "connection_refused":  # SQLite opens its file with the first statement
        return database(engine) == "sqlite"
    # A limit that ends the COMMIT itself leaves it in doubt: that is 'connection_lost'.
    return (call, error) != ("commit", "statement_timeout")


def make_plan(
    call: str, nth: Any, error: str | None, matching: Any = None, *, is_late: bool = False
) -> Plan:
    """The order, at the line of the caller.

    Raises:
        TypeError: If *nth* is no whole number, or *matching* no text.
        ValueError: If *nth* is less than 1, or *matching* no regular expression, or not for ``"execute"``.
    """
    if not isinstance(nth, int) or isinstance(nth, bool):
        raise TypeError(f"'nth' is {nth!r}. Give a whole number; calls are counted from 1.")
    if nth < 1:
        raise ValueError(f"'nth' is {nth}. Calls are counted from 1.")
    if matching is not None and call != "execute":
        raise ValueError(
            f"'matching' is given for '{call}', which has no text of its own. Give it for 'execute'."
        )
    return Plan(call, nth, error, _pattern(matching), is_late, outside().place)


def _pattern(matching: Any) -> re.Pattern[str] | None:
    if matching is None:
        return None
    if not isinstance(matching, str):
        raise TypeError(f"'matching' is {matching!r}. Give a regular expression as text.")
    try:
        return re.compile(matching, re.IGNORECASE)
    except re.error as error:
        raise ValueError(
            f"'matching' is {matching!r}, which is no regular expression: {error}. 're.escape()' takes it literally."
        ) from None
