"""The circuit of an engine: a database that refuses connections is left alone, and asked again once in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import Dialect

from .faults import classify
from .notes import add_note

__all__ = ["Circuit", "break_circuit"]

logger = logging.getLogger("flask_safesession")

T = TypeVar("T")

REFUSALS = 3
"""How many refusals in a row open the circuit."""

PATIENCE = 5.0
"""Seconds without an answer after which others do not try as well; one more does after each such time."""

_OUTAGES = {"connection_refused", "connection_lost", "too_many_connections", "server_shutdown"}
_MARK = "_safesession_circuit"
_SILENT: dict[str, tuple[Any, ...]] = {
    "postgresql": ("connection timeout expired",),
    "mysql": (2003, "The server gives no answer"),
    "mariadb": (2003, "The server gives no answer"),
}


@dataclass(frozen=True)
class Refusal:
    """How the driver refused: not the error itself, which would keep the frames that it came through."""

    kind: type[BaseException]
    args: tuple[Any, ...]


class Circuit:
    """Lets attempts to connect through, until several in a row were refused; then one at a time.

    There is no lock, which a fork would have to get past: a race lets one attempt more through.

    Args:
        name: What connects, for the log.
        seconds: How long after a refusal nobody asks, once it is open.
        silence: What an attempt without an answer counts as.
    """

    def __init__(self, name: str, seconds: float, silence: Refusal) -> None:
        self._name = name
        self._seconds = seconds
        self._silence = silence
        self._refusals = 0
        self._last: Refusal | None = None
        self._opened = 0.0
        self._ask_again = 0.0
        self._waiting: dict[object, float] = {}

    def attempt(self, connect: Callable[[], T]) -> T:
        """Return what *connect* returns, or raise at once what it raised last.

        Raises:
            Exception: The driver's own error, with a note where nobody was asked.
        """
        self._admit()
        token = object()
        self._waiting[token] = time.monotonic()
        try:
            connection = connect()
        except BaseException as error:
            if classify(error).category in _OUTAGES:
                self._refused(Refusal(type(error), error.args))
            raise
        finally:
            del self._waiting[token]
        self._answered()
        return connection

    def _admit(self) -> None:
        now = time.monotonic()
        since = list(self._waiting.values())
        if since and min(since) < now - PATIENCE:
            if max(since) >= now - PATIENCE:
                raise self._error(self._silence, f"has not answered for {now - min(since):.1f} s")
        elif self._last is not None and self._refusals >= REFUSALS:
            if now < self._ask_again:
                raise self._error(self._last, f"has refused for {now - self._opened:.1f} s")
            self._ask_again = now + self._seconds

    def _error(self, refusal: Refusal, fact: str) -> BaseException:
        error = refusal.kind(*refusal.args)
        add_note(
            error,
            f"Flask-SafeSession did not try to connect: {self._name} {fact}, and is tried again in a moment "
            "('SAFESESSION_CIRCUIT_SECONDS').",
        )
        return error

    def _refused(self, refusal: Refusal) -> None:
        now = time.monotonic()
        self._last = refusal
        self._refusals += 1
        if self._refusals == 1:
            self._opened = now
        if self._refusals >= REFUSALS:
            self._ask_again = now + self._seconds
        if self._refusals == REFUSALS:
            logger.error("%s refuses connections; asking once in %g s.", self._name, self._seconds)

    def _answered(self) -> None:
        if self._refusals >= REFUSALS:
            outage = time.monotonic() - self._opened
            logger.warning("%s takes connections again, after %.1f s.", self._name, outage)
        self._refusals = 0


def break_circuit(engine: Engine, seconds: float) -> None:
    """Give *engine* a circuit, unless it has one or *seconds* is 0.

    Around the dialect's ``connect``: a listener for ``do_connect`` would make SQLAlchemy slower at each statement.
    """
    dialect: Dialect = engine.dialect
    if not seconds or _MARK in vars(dialect):
        return
    circuit = Circuit(f"'{engine.url}'", seconds, _silence(dialect))
    original = dialect.connect

    def connect(*args: Any, **kwargs: Any) -> Any:
        return circuit.attempt(lambda: original(*args, **kwargs))

    vars(dialect).update({_MARK: circuit, "connect": connect})


def _silence(dialect: Dialect) -> Refusal:
    kind: type[BaseException] = dialect.loaded_dbapi.OperationalError
    return Refusal(kind, _SILENT.get(dialect.name, ("The database gives no answer.",)))
