"""What one application context knows of its asyncio tasks, whose scopes are their own; sync apps have none."""

from __future__ import annotations

from typing import Protocol

from .scope import Home, Scope

__all__ = ["Tasks"]


class Tasks(Protocol):
    """The asyncio tasks of one application context that have opened scopes; made by the first of them."""

    def home(self) -> Home | None:
        """Where the scopes of the caller are, if it is one of these tasks."""
        ...

    def blocking_home(self) -> Home:
        """Where synchronous code opens its scopes.

        Raises:
            TransactionActiveError: If an asynchronous scope is open that it could not wait for.
        """
        ...

    def refuse_blocking(self, what: str, instead: str) -> None:
        """Raise :class:`TransactionActiveError` if *what* is used inside an asynchronous scope."""
        ...

    def scopes(self) -> list[Scope]:
        """The innermost scope of each of them that has one open."""
        ...

    def finish(self, error: BaseException | None) -> None:
        """End with the context what tasks have left."""
        ...
