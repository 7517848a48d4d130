"""The statements that the code under test has sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flask import Flask

from ._engines import each_engine
from ._taps import tap

__all__ = ["assert_statements", "recorded_statements"]


@contextlib.contextmanager
def recorded_statements(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that *app* sends inside the ``with`` block, on any thread and connection.

    A statement for many rows counts once; savepoints of the code under test count, and what the isolation of the test
    sends does not.

    Yields:
        Their texts, in their order.

    Raises:
        NoAppError: If the app has no ``SafeSession``.

    .. versionadded:: 0.1
    """
    sent: list[str] = []

    def note(_: Any, statement: str, __: object) -> None:
        sent.append(statement)

    with each_engine(app, lambda engine: tap(engine).look(note)):
        yield sent


@contextlib.contextmanager
def assert_statements(app: Flask, count: int) -> Iterator[list[str]]:
    """Expect *app* to send *count* statements inside the ``with`` block; as :func:`recorded_statements` counts them.

    Raises:
        AssertionError: On leaving, if there were more or fewer; it lists them.

    .. versionadded:: 0.1
    """
    with recorded_statements(app) as sent:
        yield sent
    if len(sent) != count:
        lines = "".join(f"\n{number}. {text}" for number, text in enumerate(sent, 1))
        raise AssertionError(
            f"{len(sent)} statement(s) were sent where {count} were expected:{lines}"
        )
