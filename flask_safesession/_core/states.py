"""Declared states: a method says from which states it may be called and which one it leads to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import Concatenate, Protocol, TypeVar

from typing_extensions import ParamSpec

__all__ = ["ENDED", "OPEN", "State", "Stateful", "moves"]

P = ParamSpec("P")
R = TypeVar("R")


class State(Enum):
    """The life of a scope's transaction."""

    OPEN = "open"
    ROLLBACK_ONLY = "rollback-only"
    ENDED = "ended"


# A class of its own finds its members slowly, and every scope asks for these two.
OPEN, ENDED = State.OPEN, State.ENDED


class Stateful(Protocol):
    """What :func:`moves` works on."""

    state: State

    def wrong_state(self, method: str) -> Exception:
        """The error for a *method* that was called too late."""
        ...


S = TypeVar("S", bound=Stateful)


def moves(
    allowed: tuple[State, ...], to: State
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Let a method run in the *allowed* states only, and leave its object in the state *to*."""

    def decorate(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @functools.wraps(method)
        def checked(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if self.state not in allowed:
                raise self.wrong_state(method.__name__)
            self.state = to
            return method(self, *args, **kwargs)

        return checked

    return decorate
