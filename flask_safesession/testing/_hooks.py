"""Hooks that a test looks at: listed, and held back if it wants that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, overload

from flask import Flask
from sqlalchemy.orm import Session

from .._core.hooks import Hook
from .._core.ledger import find_ledger
from .._core.outcome import Outcome
from .._core.runners import spawned
from ._engines import state_of
from ._loop import TestLoop

__all__ = ["CapturedHooks", "captured_commit_hooks", "waiting"]


class CapturedHooks(Sequence[str]):
    """The names of the ``on_commit`` hooks whose time has come, in their order.

    .. versionadded:: 0.1
    """

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self._held: list[Hook] = []

    @property
    def never_run(self) -> list[str]:
        """The names of those that were held back and not run since."""
        return [each.name for each in self._held]

    def take(self, hook: Hook) -> None:
        """The time of *hook* has come."""
        self._hooks.append(hook)

    def hold(self, hook: Hook) -> None:
        """It is not to run now."""
        waits = spawned() is not None
        self._held.append(replace(hook, run=partial(_on_loop, hook.run)) if waits else hook)

    def run(self) -> None:
        """Run those that were held back, in their order; those of async scopes run on an event loop."""
        while self._held:
            self._held.pop(0).run()

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return [each.name for each in self._hooks][index]

    def __len__(self) -> int:
        return len(self._hooks)

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    def __repr__(self) -> str:
        return repr(list(self))

    __hash__: ClassVar[None] = None  # type: ignore[assignment]


def _on_loop(run: Callable[[], object]) -> object:
    with TestLoop() as loop:
        return loop.run(run)


@contextlib.contextmanager
def captured_commit_hooks(app: Flask, *, run: bool = False) -> Iterator[CapturedHooks]:
    """Collect the ``on_commit`` hooks whose transactions commit inside the ``with`` block.

    Args:
        app: The app.
        run: Run each of them when its time has come, as ever; otherwise they are held back.

    Yields:
        Their names.

    Raises:
        NoAppError: If the app has no ``SafeSession``.

    .. versionadded:: 0.1
    """
    captured = CapturedHooks()
    state = state_of(app)
    before = state.run_hook

    def take(hook: Hook) -> object:
        if hook.outcome is not Outcome.COMMITTED:
            return before(hook)
        captured.take(hook)
        if run:
            return before(hook)
        captured.hold(hook)
        return None

    state.run_hook = take
    try:
        yield captured
    finally:
        state.run_hook = before


def waiting(session: Session) -> list[str]:
    """The names of the hooks that wait for *session* to commit."""
    ledger = find_ledger(session)
    return [] if ledger is None or ledger.hooks is None else ledger.hooks.waiting()
