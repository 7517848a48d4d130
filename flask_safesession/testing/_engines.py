"""The engines of an app: those it has, and those that are made for its coroutines while a test runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from flask import Flask
from sqlalchemy import URL, Engine, NullPool, create_engine

from .. import errors
from .._core.places import outside
from .._state import STATE, AppState

__all__ = ["all_engines_of", "each_engine", "engines_of", "state_of", "unpooled"]


def state_of(app: Flask) -> AppState:
    """What the extension knows about *app*.

    Raises:
        NoAppError: If the app has no ``SafeSession``.
    """
    state: AppState | None = getattr(app, "extensions", {}).get(STATE)
    if state is None:
        raise errors.NoAppError(
            f"{outside().place} wants the database of {app!r}, which has no SafeSession. Call 'SafeSession(app)' or "
            "'safe.init_app(app)' where the app is made."
        )
    return state


def engines_of(app: Flask) -> list[Engine]:
    """The blocking engines of *app*, each once.

    Raises:
        NoAppError: If the app has no ``SafeSession``.
    """
    state = state_of(app)
    with app.app_context():
        return list({id(each.pool): each for each in state.source.engines().values()}.values())


def all_engines_of(app: Flask) -> list[Engine]:
    """The same, and the async ones that are there by now."""
    found = state_of(app).asynchronous
    return [*engines_of(app), *({} if found is None else found.engines()).values()]


@contextlib.contextmanager
def each_engine(
    app: Flask, begin: Callable[[Engine], Callable[[], object]], more: Iterable[Engine] = ()
) -> Iterator[None]:
    """Call *begin* for each engine of *app*, async ones included, also if they are made inside the ``with`` block.

    What it returns is called at the end.

    Raises:
        NoAppError: If the app has no ``SafeSession``.
    """
    state = state_of(app)
    known = all_engines_of(app)
    with contextlib.ExitStack() as undo:

        def meet(engines: Iterable[Engine]) -> None:
            for engine in engines:
                undo.callback(begin(engine))

        meet([*known, *more])
        state.watchers.append(meet)
        undo.callback(state.watchers.remove, meet)
        yield


def unpooled(url: URL) -> Engine:
    """A blocking or async engine whose statements commit by themselves, and whose connections are closed after use."""
    if not url.get_dialect().is_async:
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    from sqlalchemy.ext.asyncio import create_async_engine  # needs the extra 'async'

    return create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").sync_engine
