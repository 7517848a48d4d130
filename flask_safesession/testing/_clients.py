"""The test clients that keep the contexts of their last request, as they do inside ``with app.test_client()``."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

from flask.testing import FlaskClient

from ._swapping import swapped

__all__ = ["KEPT", "ClientWatch", "keeper"]

_OPEN = FlaskClient.open.__code__
KEPT = (
    ", which a client inside 'with app.test_client()' keeps "
    "(use the client without 'with', or make one for each test)"
)


class ClientWatch:
    """Knows which clients were entered in the test."""

    def __init__(self) -> None:
        self._own: weakref.WeakSet[FlaskClient] = weakref.WeakSet()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look inside the ``with`` block."""
        with swapped(FlaskClient, "__enter__", self._entering):
            yield

    def is_foreign(self, client: FlaskClient | None) -> bool:
        """Whether a fixture for more than this test has entered *client*."""
        return client is not None and client not in self._own

    def _entering(self, stock: Any) -> Any:
        def enter(client: FlaskClient) -> Any:
            self._own.add(client)
            return stock(client)

        return enter


def keeper() -> FlaskClient | None:
    """The client that sends the request at hand, and keeps its contexts."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _OPEN:
        frame = frame.f_back
    client: FlaskClient | None = None if frame is None else frame.f_locals["self"]
    return client if client is not None and client.preserve_context else None
