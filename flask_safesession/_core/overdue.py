"""A connection that is held too long, or past the end of its context or thread: the report, and the way back."""

from __future__ import annotations

import logging
import sys
import warnings
import weakref
from collections.abc import Iterable
from time import monotonic
from typing import Any, NoReturn, cast

from sqlalchemy import Engine

from .. import errors
from .binding import refuse_overdue
from .forks import is_in_memory
from .holders import Hold
from .leftovers import discard
from .places import Place
from .statistics import describe

__all__ = ["Reports"]

logger = logging.getLogger("flask_safesession")

_ADVICE = (
    "Commit, or leave the scope, before slow work ('run_in_phases' does both for a job), or set "
    "'SAFESESSION_HELD_SECONDS' higher."
)


class Reports:
    """What is said about the connections of one engine, once about each that is taken."""

    def __init__(self, engine: Engine) -> None:
        self._url = engine.url.render_as_string()
        self.is_shared = is_in_memory(engine)  # all have the one connection, and nobody misses it
        # What belongs to an event loop is closed there.
        self._is_fixed = self.is_shared or engine.dialect.is_async
        self._said: weakref.WeakSet[Any] = weakref.WeakSet()

    def look(self, holds: Iterable[Hold]) -> list[float]:
        """Report what is overdue; return for each of the others the seconds until it will be."""
        return [self._look_at(each) for each in holds]

    def _look_at(self, hold: Hold) -> float:
        limit = hold.rules.held_seconds
        left = hold.since + limit - monotonic()
        if left > 0:
            return left
        if hold.is_orphaned and self._may_take(hold):
            self.take_back(hold, "in a thread that has ended")
        elif hold.lent not in self._said:
            self._said.add(hold.lent)
            self._complain(hold)
        return limit

    def reclaim_dead(self, holds: Iterable[Hold]) -> bool:
        """Take back what threads hold that have ended; return whether there was anything."""
        dead = [each for each in holds if each.is_orphaned and self._may_take(each)]
        for hold in dead:
            self.take_back(hold, "in a thread that has ended")
        return bool(dead)

    def take_back(self, hold: Hold, where: str) -> None:
        """Give the connection of *hold* back to its pool, and say who left it *where*.

        Who still has it, and no session, finds a connection that refuses, and not somebody else's.
        """
        text = self._left(hold, where, "; it was taken back")
        _take(hold, text)
        _warn(hold.place, text)

    def left_by_context(self, hold: Hold) -> None:
        """The same at the end of a context; what began outside of any request may be meant to outlive it.

        Raises:
            HeldConnectionError: Where the setting is ``"raise"``.
        """
        if hold.rules.held_connection == "off":
            return
        taken = hold.origin.request is not None and not self._is_fixed
        text = self._left(hold, "in a context that has ended", "; it was taken back" * taken)
        if taken:
            _take(hold, text)
        if hold.rules.held_connection == "raise":
            raise errors.HeldConnectionError(text)
        _warn(hold.place, text)

    def _left(self, hold: Hold, where: str, fate: str) -> str:
        return (
            f"{hold.place} took a connection to '{self._url}' and left it {where}{fate}"
            f"{describe(hold).details}. Use it under 'with', or close it in a 'finally'."
        )

    def _may_take(self, hold: Hold) -> bool:
        return not self._is_fixed and hold.rules.held_connection != "off"

    def _complain(self, hold: Hold) -> None:
        mode = hold.rules.held_connection
        if mode == "off":
            return
        text = (
            f"{hold.place} has held a connection to '{self._url}' for more than {hold.rules.held_seconds:g} s"
            f"{describe(hold).details}. {_ADVICE}"
        )
        if mode == "raise" and hold.session is not None and hold.ledger is not None:
            hold.ledger.overdue = hold.lent, text  # its transaction may have ended by now
            refuse_overdue(hold.session)
        else:
            _warn(hold.place, text)


def _take(hold: Hold, text: str) -> None:
    if hold.session is not None:
        discard(hold.session)
        return
    hold.lent.close()
    cast(Any, hold.lent).dbapi_connection = TakenConnection(text)


class TakenConnection:
    """What stands in the place of a driver's connection (see :pep:`249`) that was taken back."""

    def __init__(self, text: str) -> None:
        self._text = text

    def rollback(self) -> None:
        """That is done."""

    def close(self) -> None:
        """So is that."""

    def __getattr__(self, name: str) -> NoReturn:
        raise errors.HeldConnectionError(self._text)


def _warn(place: Place, text: str) -> None:
    """Warn at *place*; where warnings are errors there is nobody in this thread to raise it to, so it is logged."""
    names = _names_of(place.path)
    registry = names.setdefault("__warningregistry__", {})
    module = names.get("__name__", "")
    try:
        warnings.warn_explicit(
            text, errors.HeldConnectionWarning, place.path, place.line, module, registry
        )
    except errors.HeldConnectionWarning:
        logger.error(text)  # noqa: TRY400 - the warning is the message


def _names_of(path: str) -> dict[str, Any]:
    """The names of the module in *path*: notes keep no module."""
    modules = list(sys.modules.values())
    return next((vars(each) for each in modules if getattr(each, "__file__", None) == path), {})
