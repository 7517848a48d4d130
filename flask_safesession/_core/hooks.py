"""What runs after the outcome of a transaction: first in, first out, and none keeps another from running."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy.orm import SessionTransaction

from .notes import add_note
from .outcome import Outcome

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

__all__ = [
    "Drain",
    "Hook",
    "HookErrors",
    "HookQueue",
    "check_hook",
    "draining",
    "full_name",
    "hook_name",
    "is_awaited",
    "run_hook",
]

logger = logging.getLogger("flask_safesession")

HookErrors = Literal["log", "raise"]

_FATE = {
    Outcome.COMMITTED: "committed",
    Outcome.ROLLED_BACK: "rolled back",
    Outcome.UNKNOWN: "committed or not, nobody knows",
}


class Drain(NamedTuple):
    """Hooks that run right now.

    Attributes:
        queue: Where they wait; what they register themselves waits there too.
        ledger: The record of the session whose transaction ended.
        scope: The scope that is open around them.
    """

    queue: HookQueue
    ledger: object
    scope: object


draining: ContextVar[Drain | None] = ContextVar("flask_safesession.draining", default=None)


@dataclass(frozen=True)
class Hook:
    """One registered callable, and the savepoint that it was registered in, if any."""

    outcome: Outcome
    run: Callable[[], object]
    name: str
    savepoint: SessionTransaction | None


def run_hook(hook: Hook) -> object:
    """Run *hook*; a test may put something else in the place of this."""
    return hook.run()


def check_hook(fn: Callable[..., object]) -> None:
    """Refuse what cannot run after a synchronous transaction.

    Raises:
        TypeError: If *fn* cannot be called, or is a coroutine function.
    """
    if not callable(fn):
        raise TypeError(
            f"{fn!r} cannot run after the transaction. Give a function, not its result."
        )
    if is_awaited(fn):
        raise TypeError(
            f"'{hook_name(fn)}' is a coroutine function and this transaction is synchronous: nobody would await it. "
            "Register a function that starts it on your event loop."
        )


def is_awaited(fn: Callable[..., object]) -> bool:
    """Whether *fn* gives an awaitable."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)


def hook_name(fn: Callable[..., object]) -> str:
    """The name that a log line or message gives to *fn*."""
    return getattr(fn, "__qualname__", None) or repr(fn)


def full_name(fn: Callable[..., object]) -> str:
    """The same with the module, where *fn* has a name: ``shop.jobs.restock``."""
    named = hasattr(fn, "__qualname__") and hasattr(fn, "__module__")
    return f"{fn.__module__}.{hook_name(fn)}" if named else hook_name(fn)


class HookQueue:
    """The hooks of one root transaction."""

    __slots__ = ("_hooks",)

    def __init__(self) -> None:
        self._hooks: list[Hook] = []

    def add(self, hook: Hook) -> None:
        self._hooks.append(hook)

    def waiting(self) -> list[str]:
        """The names of the hooks that wait for a COMMIT."""
        return [each.name for each in self._hooks if each.outcome is Outcome.COMMITTED]

    def savepoint_rolled_back(self, savepoint: SessionTransaction) -> None:
        """Drop what waited for the commit of work that is gone; ``on_rollback`` hooks wait for the outermost end."""
        self._hooks = [
            hook
            for hook in self._hooks
            if hook.outcome is Outcome.ROLLED_BACK or not _inside(hook.savepoint, savepoint)
        ]

    def drain(
        self,
        outcome: Outcome,
        on_error: HookErrors,
        ledger: object,
        scope: object,
        run: Callable[[Hook], object],
    ) -> None:
        """Run the hooks of *outcome*, those that hooks add meanwhile included, and forget the others.

        Args:
            outcome: How the transaction ended.
            on_error: ``"raise"`` collects what hooks raise; ``"log"`` only logs it.
            ledger: The record of the session whose transaction ended.
            scope: The scope that is open now, around the hooks.
            run: Runs one hook.

        Raises:
            Exception: What the only failing hook raised.
            ExceptionGroup: What several hooks raised.
        """
        token = draining.set(Drain(self, ledger, scope))
        try:
            failures = self._run_all(outcome, run)
        finally:
            draining.reset(token)
        if failures and on_error == "raise":
            raise _collected(failures)

    def _run_all(self, outcome: Outcome, run: Callable[[Hook], object]) -> list[Exception]:
        failures: list[Exception] = []
        while self._hooks:
            hook = self._hooks.pop(0)
            if hook.outcome is outcome:
                self._run(hook, failures, run)
        return failures

    def _run(self, hook: Hook, failures: list[Exception], run: Callable[[Hook], object]) -> None:
        try:
            run(hook)
        except Exception as error:
            logger.exception("The hook '%s' failed after the transaction had ended.", hook.name)
            add_note(
                error, f"The hook '{hook.name}' failed; the transaction is {_FATE[hook.outcome]}."
            )
            failures.append(error)
        except BaseException:
            left = ", ".join(
                f"'{each.name}'" for each in self._hooks if each.outcome is hook.outcome
            )
            logger.exception("The hook '%s' was cut off; not run: %s.", hook.name, left or "none")
            raise


def _collected(failures: list[Exception]) -> Exception:
    if len(failures) == 1:
        return failures[0]
    group: Exception = ExceptionGroup("hooks failed after the transaction had ended", failures)
    return group


def _inside(inner: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while inner is not None:
        if inner is outer:
            return True
        inner = inner.parent
    return False
