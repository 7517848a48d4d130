"""What stands between one test and the database of its app."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy.orm import Session
from typing_extensions import Self

from .. import errors
from .._core.leftovers import discard
from .._proxies import app_context
from .._unit import current_unit
from ._access import Refusal, refused
from ._contexts import tops
from ._emptying import CommitIsolation
from ._hooks import waiting
from ._isolation import RollbackIsolation
from ._leaks import LeakWatch

__all__ = ["TestGuard"]


class TestGuard:
    """Isolates one test.

    Args:
        app: The app of the test.
        isolation: ``"rollback"``, ``"commit"``, or None for a test that asks for neither.
        reset_sequences: With ``"commit"``: the numbers of new rows begin at 1.
        is_explicit: A test that asks for neither must not touch the database.
        leaks: What happens about what it leaves behind: ``"warn"``, ``"error"`` or ``"off"``.

    Attributes:
        refusal: Who was refused the database; None for a test that may use it.
    """

    __test__ = False  # no test of pytest's

    def __init__(
        self,
        app: Flask,
        *,
        isolation: str | None,
        reset_sequences: bool = False,
        is_explicit: bool = False,
        leaks: str = "warn",
    ) -> None:
        self.app = app
        self.isolation = isolation
        self._resets = reset_sequences
        self._is_explicit = is_explicit
        self._leaks = leaks
        self._left: list[str] = []
        self.refusal: Refusal | None = None
        self._refusing = contextlib.ExitStack()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._watch = self._undo.enter_context(LeakWatch(self.app))
        try:
            if self.isolation is not None:
                self._isolate(self.isolation)
            elif self._is_explicit:
                self.refusal = self._refusing.enter_context(refused(self.app))
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as end:  # each of these comes whatever becomes of the others
            end.callback(self._complain)
            end.callback(self._undo.close)
            if self.isolation == "commit":
                end.callback(self._watch.roll_back)
            end.callback(self._refusing.close)
            if self._leaks != "off":
                self._left += self._watch.report()

    @contextlib.contextmanager
    def session(self, isolation: str) -> Iterator[Session]:
        """The session of the app, in a context that is open for the test."""
        if self.isolation is None:
            self._refusing.close()
            self._isolate(isolation)  # it was asked for on the way
        elif self.isolation != isolation:
            raise errors.IsolationUnavailableError(
                f"The test is isolated with '{self.isolation}', and now '{isolation}' is asked for. Ask for one of "
                "them."
            )
        with self._pushed():
            session = current_unit().session()
            own = tops()
            try:
                yield session
            finally:
                self._left += [*self._watch.scopes(), *self._watch.contexts(own)]
                own.restore()
                hooks = waiting(session)
                discard(session)
        if hooks:
            warnings.warn(_never_run(hooks), errors.SafeSessionWarning, stacklevel=1)

    def _complain(self) -> None:
        if not self._left or self._leaks == "off":
            return
        left = "; ".join(dict.fromkeys(self._left))
        text = (
            f"The test left something behind: {left}. Leave each block, close each session, and wait for "
            "each job inside the test."
        )
        if self._leaks == "error":
            raise errors.LeakError(text)
        warnings.warn(text, errors.LeakWarning, stacklevel=1)

    def _isolate(self, isolation: str) -> None:
        self.isolation = isolation
        self._undo.enter_context(
            RollbackIsolation(self.app)
            if isolation == "rollback"
            else CommitIsolation(self.app, reset_sequences=self._resets)
        )
        self._undo.enter_context(_own_contexts(self.app))

    @contextlib.contextmanager
    def _pushed(self) -> Iterator[None]:
        if has_app_context() and app_ctx.app is self.app:
            yield
            return
        with self.app.app_context():
            yield


def _never_run(hooks: list[str]) -> str:
    quoted = ", ".join(f"'{each}'" for each in hooks)
    return (
        f"The test is over, and these hooks were never run: {quoted}. Nobody committed the transaction that they wait "
        "for. Call 'commit()' on the session of the test, or register them inside 'with session_manager():'."
    )


@contextlib.contextmanager
def _own_contexts(app: Flask) -> Iterator[None]:
    """Give each request of the test client an application context of its own, as in production.

    Flask 3.1 lets requests share the one that is pushed around them, and so the session of the test.
    """
    stock: Any = app.wsgi_app

    def wsgi_app(environ: Any, start_response: Any) -> Any:
        token = app_context.set(None)
        try:
            return stock(environ, start_response)
        finally:
            app_context.reset(token)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]
    try:
        yield
    finally:
        app.wsgi_app = stock  # type: ignore[method-assign]
