"""The application and request contexts that a test leaves pushed, on any thread."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from flask import Flask, appcontext_pushed, appcontext_tearing_down
from flask.ctx import AppContext
from flask.testing import FlaskClient

from .._core.places import Place
from .._proxies import app_context, request_context
from .._unit import JOB, unit_of
from ._blocks import open_scopes, still_open
from ._clients import KEPT, ClientWatch, keeper

__all__ = ["FRAMEWORK", "ContextWatch", "Tops", "tops"]

FRAMEWORK = ("flask.", "flask", "werkzeug.", "contextlib", "blinker.", "flask_safesession.")
_APPLICATION = "an application context is still pushed"
_REQUEST = "a request context is still pushed"


class Tops(NamedTuple):
    """What is on top for the thread or task that asks; both are one object in Flask 3.2, where it has a request."""

    context: Any
    request: Any

    def restore(self) -> None:
        """Let them be on top again; requests that were pushed since are popped."""
        while (request := request_context.get(None)) not in (None, self.request):
            with contextlib.suppress(Exception):  # of what runs at the end of a request
                request.pop()
            if request_context.get(None) is request:
                break
        app_context.set(self.context)


def tops() -> Tops:
    """What is on top here."""
    return Tops(app_context.get(None), request_context.get(None))


class Push(NamedTuple):
    """One application context that was pushed and not popped.

    Attributes:
        context: It.
        place: Who pushed it.
        thread: Where.
        client: Whose last request it is, if a client keeps it.
    """

    context: weakref.ref[AppContext]
    place: Place
    thread: threading.Thread
    client: weakref.ref[FlaskClient] | None

    @property
    def told(self) -> str:
        """It, at the beginning of a sentence."""
        return f"{_APPLICATION}{_kept(self)}"

    def scopes(self) -> Iterator[str]:
        """A sentence for each scope that is open in it."""
        yield from map(still_open, open_scopes(unit_of(self.context())))


class ContextWatch:
    """Sees the contexts of *app* that are pushed inside the ``with`` block."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._open: dict[int, Push] = {}
        self._lost: list[Push] = []
        self._made: weakref.WeakKeyDictionary[Any, Push] = weakref.WeakKeyDictionary()
        self._clients = ClientWatch()
        self._looking = contextlib.ExitStack()

    def begin(self) -> None:
        """Look."""
        self._looking.enter_context(self._clients.watching())
        self._home = threading.current_thread()
        self._before = set(threading.enumerate()) - {self._home}
        appcontext_pushed.connect(self._pushed, self._app)
        appcontext_tearing_down.connect(self._ended, self._app)
        # A request that is pushed on an application context of its app gives no signal.
        self._stock: Callable[..., Any] = self._app.request_context
        self._replaced = vars(self._app).get("request_context")
        vars(self._app)["request_context"] = self._request_context

    def end(self) -> None:
        """Look no longer."""
        self._looking.close()
        del vars(self._app)["request_context"]
        if self._replaced is not None:  # by another watch, or by the app
            vars(self._app)["request_context"] = self._replaced
        appcontext_tearing_down.disconnect(self._ended, self._app)
        appcontext_pushed.disconnect(self._pushed, self._app)

    def on_top(self, expected: Tops, *, is_last: bool = False) -> Iterator[str]:
        """A sentence for each of what is on top that is not as *expected*.

        Args:
            expected: What was there before.
            is_last: No context of the test's own is below, for which what a lasting client keeps would be in the way.
        """
        here = tops()
        if here.request not in (None, expected.request, here.context):
            push = self._made.get(here.request)
            if not (is_last and self._is_foreign(push)):
                yield f"{_REQUEST}{_kept(push)}"
        if here.context not in (None, expected.context):
            push = self._open.get(id(here.context))
            if not (is_last and self._is_foreign(push)):
                yield f"{_APPLICATION}{_kept(push)}"

    def here(self) -> Iterator[str]:
        """The same for what this thread has pushed and lost sight of."""
        for push in self._open_ones():
            if push.thread is self._home:
                yield from push.scopes()
                yield push.told

    def elsewhere(self) -> Iterator[str]:
        """The same for the threads that the test has started, and for what the collector has found."""
        for push in self._open_ones():
            if push.thread is not self._home and push.thread not in self._before:
                yield from push.scopes()
                yield f"{push.told}, in the thread '{push.thread.name}'"
        for push in self._lost:
            yield f"an application context was never popped, pushed by {push.place}"

    def _open_ones(self) -> list[Push]:
        """Those of no job, which is told by itself, nor of a lasting client, whose end was no failure."""
        return [
            each
            for each in list(self._open.values())
            if not (
                hasattr(each.context(), JOB) or _is_over(each.context()) or self._is_foreign(each)
            )
        ]

    def _pushed(self, *_: object, **__: object) -> None:
        context = app_context.get()
        key = id(context)
        if key not in self._open:
            collected = functools.partial(self._collected, key)
            reference = weakref.ref(context, collected)
            self._open[key] = _push(reference)

    def _ended(self, *_: object, **__: object) -> None:
        self._open.pop(id(app_context.get()), None)

    def _collected(self, key: int, _: object) -> None:
        push = self._open.pop(key, None)
        # Of this thread it was one that an error ended.
        if push is not None and push.thread not in {self._home, *self._before}:
            self._lost.append(push)

    def _request_context(self, environ: Any) -> Any:
        context = self._stock(environ)
        self._made[context] = _push(weakref.ref(context))
        return context

    def _is_foreign(self, push: Push | None) -> bool:
        """Whether the client of a fixture for more than this test keeps it."""
        known = None if push is None else push.client
        return known is not None and self._clients.is_foreign(known())


def caller() -> Place:
    """The innermost line outside the frameworks."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(FRAMEWORK):
        frame = frame.f_back
    return Place(frame.f_code, frame.f_lasti)


def _is_over(context: AppContext | None) -> bool:
    unit = unit_of(context)
    return unit is not None and unit.ended


def _push(reference: weakref.ref[Any]) -> Push:
    client = keeper()
    kept = None if client is None else weakref.ref(client)
    return Push(reference, caller(), threading.current_thread(), kept)


def _kept(push: Push | None) -> str:
    return "" if push is None else f"{KEPT if push.client else ''}, by {push.place}"
