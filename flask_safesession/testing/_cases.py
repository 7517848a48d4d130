"""The same isolation for ``unittest``."""

from __future__ import annotations

import contextlib
import unittest
from typing import ClassVar

from flask import Flask
from sqlalchemy.orm import Session

from ._guarding import TestGuard

__all__ = ["SafeSessionTestCase"]


_VALUES = {"isolation": ("rollback", "commit"), "leaks": ("warn", "error", "off")}


class SafeSessionTestCase(unittest.TestCase):
    """A test case of which each test is rolled back, or commits for real.

    Attributes:
        isolation: ``"rollback"``, or ``"commit"`` for real commits and tables that are emptied.
        reset_sequences: With ``"commit"``: the numbers of new rows begin after the highest that is there.
        leaks: What happens about what a test leaves behind: ``"warn"``, ``"error"`` or ``"off"``.
        app: The app, which :meth:`create_app` made.
        db_session: The session of the app, in a context that is open for the test.

    .. versionadded:: 0.1
    """

    isolation: ClassVar[str] = "rollback"
    reset_sequences: ClassVar[bool] = False
    leaks: ClassVar[str] = "warn"
    app: Flask
    db_session: Session

    def create_app(self) -> Flask:
        """The app of the test. Write it; it may return the same one each time.

        Raises:
            NotImplementedError: If it was not written.
        """
        raise NotImplementedError(
            f"'{type(self).__name__}' has no app. Write its method 'create_app()', which returns the Flask app."
        )

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """Run the test, its set-up and clean-up included, in its isolation."""
        own = self.setUp

        def set_up() -> None:
            self._isolate()
            own()

        # Where it fails, the runner reports it as it reports a set-up that fails.
        vars(self)["setUp"] = set_up
        try:
            return super().run(result)
        finally:
            del vars(self)["setUp"]

    def _isolate(self) -> None:
        for name, values in _VALUES.items():
            if getattr(self, name) not in values:
                known = ", ".join(f"'{each}'" for each in values)
                raise ValueError(
                    f"'{type(self).__name__}' says '{name} = {getattr(self, name)!r}'. Give one of {known}."
                )
        self.app = self.create_app()
        guard = TestGuard(
            self.app,
            isolation=self.isolation,
            reset_sequences=self.reset_sequences,
            leaks=self.leaks,
        )
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(guard)
        self.db_session = stack.enter_context(guard.session(self.isolation))
