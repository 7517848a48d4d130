"""Why the checker could not run, and how it words a name that it does not know."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["CannotRunError", "unknown"]


class CannotRunError(Exception):
    """The checker could not run; its text is one line for the person who called it."""


def unknown(name: str, known: Iterable[str], *, what: str, plural: str) -> str:
    """Say that *name* is not *what*, and suggest the closest of the *known* names, or list them."""
    names = sorted(known)
    close = _close(name, names)
    listed = ", ".join(f"'{each}'" for each in close or names)
    hint = f"Did you mean {listed}?" if close else f"The {plural} are {listed}."
    return f"'{name}' is not {what}. {hint}"


def _close(name: str, names: list[str]) -> list[str]:
    """Return the closest name; none where several are as close, as all the ids of rules are to the beginning of one."""
    close = difflib.get_close_matches(name, names, n=2)
    if len(close) < 2:
        return close
    first, second = (difflib.SequenceMatcher(None, name, each).ratio() for each in close)
    return close[:1] if first > second else []
