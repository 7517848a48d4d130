"""What each test of coroutines leaves behind is gone before the next one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_safesession._async import portal


@pytest.fixture(autouse=True)
def own_portal() -> Iterator[None]:
    """Leave no connection in the portal's pool, and no thread of aiosqlite with it."""
    yield
    portal._process.stop()
