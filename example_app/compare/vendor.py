"""Somebody else's audit package, which neither side can change: it commits what it was given."""

from __future__ import annotations

from typing import Any


def log_action(session: Any, entry: object) -> None:
    """Store *entry*. That the caller may not be done yet does not occur to this function."""
    session.add(entry)
    session.commit()
