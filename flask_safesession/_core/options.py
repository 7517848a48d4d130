"""What a scope was asked for: its propagation and what it demands of the database."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

__all__ = ["DEFAULT", "Propagation", "ScopeOptions", "make_options"]


class Propagation(str, Enum):
    """What a scope does about the one that is already open (the table is in the reference, "Propagation")."""

    REQUIRED = "required"
    REQUIRES_NEW = "requires_new"
    NESTED = "nested"
    MANDATORY = "mandatory"
    SUPPORTS = "supports"
    NOT_SUPPORTED = "not_supported"
    NEVER = "never"


# The isolation levels of the SQL standard; AUTOCOMMIT is none, because it leaves nothing to own.
LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")


@dataclass(frozen=True, slots=True)
class ScopeOptions:
    """The checked arguments of ``session_manager()``; arguments have the same meaning as there.

    Attributes:
        plain: Nothing is asked of the database.
    """

    propagation: Propagation = Propagation.REQUIRED
    read_only: bool = False
    isolation_level: str | None = None
    timeout: float | None = None
    name: str | None = None
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        asks = self.read_only or self.isolation_level is not None or self.timeout is not None
        object.__setattr__(self, "plain", not asks)


DEFAULT = ScopeOptions()


@lru_cache(maxsize=1024, typed=True)  # True is no number of seconds, and 1 no switch
def make_options(
    propagation: Propagation | str = Propagation.REQUIRED,
    read_only: bool = False,
    isolation_level: str | None = None,
    timeout: float | None = None,
    name: str | None = None,
) -> ScopeOptions:
    """Check the arguments of ``session_manager()`` once for each combination.

    Raises:
        ValueError: If the propagation or isolation level is unknown, or the timeout is not a positive number.
        TypeError: If an argument is of the wrong kind.
    """
    if not isinstance(read_only, bool):
        raise TypeError(f"'read_only' is {read_only!r}. Give True or False.")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"'name' is {name!r}. Give a string.")
    return ScopeOptions(
        _propagation(propagation), read_only, _level(isolation_level), _timeout(timeout), name
    )


def _propagation(value: Propagation | str) -> Propagation:
    try:
        return Propagation(value)
    except ValueError:
        names = [each.value for each in Propagation]
        close = difflib.get_close_matches(str(value), names, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        message = (
            f"{value!r} is not a propagation. {hint}Give one of {', '.join(map(repr, names))}."
        )
        raise ValueError(message) from None


def _level(value: str | None) -> str | None:
    if value is None:
        return None
    level = str(value).upper().replace("_", " ")
    if level in LEVELS:
        return level
    reason = " AUTOCOMMIT would leave the scope nothing to own." if level == "AUTOCOMMIT" else ""
    choices = ", ".join(map(repr, LEVELS))
    raise ValueError(f"'isolation_level' is {value!r}.{reason} Give one of {choices}.")


def _timeout(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"'timeout' is {value!r}. Give a number of seconds.")
    if not (0 < value < math.inf):
        raise ValueError(f"'timeout' is {value!r}. Give a positive, finite number of seconds.")
    return value
