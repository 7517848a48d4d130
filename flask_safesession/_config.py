"""From ``app.config`` and the extension's options to one frozen :class:`Settings`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from sqlalchemy import URL

__all__ = ["PREFIX", "EngineGiven", "GuardMode", "HttpErrors", "OwnershipMode", "Settings"]

PREFIX = "SAFESESSION_"

GuardMode = Literal["raise", "warn", "off"]
OwnershipMode = Literal["raise", "warn", "defer", "off"]
HttpErrors = Literal["availability", "all", "off"]

_GUARD_MODES = ("raise", "warn", "off")
_OWNERSHIP_MODES = ("raise", "warn", "defer", "off")

EngineGiven = str | URL | Mapping[str, Any]
"""The URL of an engine, or the arguments of ``create_engine`` by name."""


@dataclass(frozen=True)
class Settings:
    """The settings of one app, read once by ``init_app``.

    Attributes:
        ownership: What happens when code ends a transaction that it does not own.
        ownership_modules: The same by the name of the calling package, for example ``{"flask_security": "defer"}``.
        sharing: What happens when a thread, greenlet or task uses a session that another one has.
        uncommitted: What happens when a context ends with changes that nobody committed.
        stale_context: What happens when a session is reached through a context that has ended.
        held_connection: What happens when a connection is held too long, or past the end of its context.
        held_seconds: How long a connection may be held, in seconds.
        hook_errors: ``"log"`` or ``"raise"``; None means ``"raise"`` while ``app.testing``, else ``"log"``.
        twophase: Prepare on every database before the first COMMIT, where all of them can.
        commit_timeout: Seconds after which a COMMIT without an answer is given up; 0: never.
        verify_commit: Ask PostgreSQL for the fate of a COMMIT whose answer was lost.
        verify_seconds: Seconds that may be spent on that.
        transactional_views: Run every view in a scope of its own.
        celery_transactional: Run the body of every Celery task in a scope of its own.
        http_errors: Which database errors are answered with their own status instead of 500.
        circuit_seconds: How long a database that refuses connections is left alone between two tries; 0: never.
        async_engines: How async sessions reach the databases of Flask-SQLAlchemy, by the name of the bind.
        async_portal: Run async views on one event loop, in a thread of its own.
    """

    ownership: OwnershipMode = "raise"
    ownership_modules: Mapping[str, OwnershipMode] = field(default_factory=dict)
    sharing: GuardMode = "raise"
    uncommitted: GuardMode = "warn"
    stale_context: GuardMode = "raise"
    held_connection: GuardMode = "warn"
    held_seconds: float = 10.0
    hook_errors: Literal["log", "raise"] | None = None
    twophase: bool = False
    commit_timeout: float = 30.0
    verify_commit: bool = False
    verify_seconds: float = 10.0
    transactional_views: bool = False
    celery_transactional: bool = False
    http_errors: HttpErrors = "availability"
    circuit_seconds: float = 1.0
    async_engines: Mapping[str | None, EngineGiven] = field(default_factory=dict)
    async_portal: bool = False

    @classmethod
    def load(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Settings:
        """Read the settings; *config* wins over *options*.

        Args:
            config: ``app.config``, whose keys start with ``SAFESESSION_``.
            options: The same names in lower case without the prefix.

        Raises:
            ValueError: If a name is unknown or a value is not one of those allowed.
            TypeError: If a value is of the wrong kind.
        """
        named = dict(options)
        named.update(
            (key[len(PREFIX) :].lower(), value)
            for key, value in config.items()
            if key.startswith(PREFIX)
        )
        known = {each.name for each in fields(cls)}
        for name in named.keys() - known:
            raise ValueError(_unknown(name, known))
        values = {name: _CHECKS[name](name, named[name]) for name in known & named.keys()}
        return cls(**values)


def _unknown(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    wanted = ", ".join(f"'{PREFIX}{each.upper()}'" for each in close or sorted(known))
    hint = f"Did you mean {wanted}?" if close else f"The settings are {wanted}."
    return f"'{PREFIX}{name.upper()}' is not a setting of Flask-SafeSession. {hint}"


def _one_of(*allowed: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        choices = ", ".join(repr(each) for each in allowed)
        setting, bracket, key = name.partition("[")
        raise ValueError(
            f"'{PREFIX}{setting.upper()}{bracket}{key}' is {value!r}. Set it to one of {choices}."
        )

    return check


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"'{PREFIX}{name.upper()}' is {value!r}. Set it to True or False.")


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"'{PREFIX}{name.upper()}' is {value!r}. Set it to a number of seconds.")
    if not 0 <= value < math.inf:
        raise ValueError(
            f"'{PREFIX}{name.upper()}' is {value!r}. Set it to a finite number of seconds; 0 means never."
        )
    return float(value)


def _held_seconds(name: str, value: Any) -> float:
    if not (seconds := _seconds(name, value)):
        raise ValueError(
            f"'{PREFIX}{name.upper()}' is {value!r}. Set it to more than 0 seconds, or "
            f"'{PREFIX}HELD_CONNECTION' to 'off'."
        )
    return seconds


def _hook_errors(name: str, value: Any) -> str | None:
    return None if value is None else _one_of("log", "raise")(name, value)


def _modules(name: str, value: Any) -> Mapping[str, OwnershipMode]:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"'{PREFIX}{name.upper()}' is {value!r}. Set it to a dict of package names and modes, "
            'such as {"flask_security": "defer"}.'
        )
    check = _one_of(*_OWNERSHIP_MODES)
    return {
        str(key): cast(OwnershipMode, check(f"{name}[{key!r}]", mode))
        for key, mode in value.items()
    }


def _engines(name: str, value: Any) -> Mapping[str | None, EngineGiven]:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"'{PREFIX}{name.upper()}' is {value!r}. Set it to a dict of bind names and URLs, such as "
            '{None: "postgresql+asyncpg://…"}; None is the database of SQLALCHEMY_DATABASE_URI.'
        )
    for key, given in value.items():
        if not isinstance(given, (str, URL, Mapping)) or not isinstance(key, (str, type(None))):
            raise TypeError(
                f"'{PREFIX}{name.upper()}[{key!r}]' is {given!r}. Set it to a URL, or to a dict of the arguments of "
                "'create_async_engine()', under None or the name of a bind."
            )
    return dict(value)


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "ownership": _one_of(*_OWNERSHIP_MODES),
    "ownership_modules": _modules,
    "sharing": _one_of(*_GUARD_MODES),
    "uncommitted": _one_of(*_GUARD_MODES),
    "stale_context": _one_of(*_GUARD_MODES),
    "held_connection": _one_of(*_GUARD_MODES),
    "held_seconds": _held_seconds,
    "hook_errors": _hook_errors,
    "twophase": _switch,
    "commit_timeout": _seconds,
    "verify_commit": _switch,
    "verify_seconds": _seconds,
    "transactional_views": _switch,
    "celery_transactional": _switch,
    "http_errors": _one_of("availability", "all", "off"),
    "circuit_seconds": _seconds,
    "async_engines": _engines,
    "async_portal": _switch,
}
