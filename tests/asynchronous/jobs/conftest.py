"""The same kits and the same event loop as the tests of scopes have."""

from __future__ import annotations

from ..scopes.conftest import (
    any_kit,
    async_kits,
    every_kit,
    kit,
    make_kit,
    pytest_pyfunc_call,
    sqlite_kit,
)

__all__ = [
    "any_kit",
    "async_kits",
    "every_kit",
    "kit",
    "make_kit",
    "pytest_pyfunc_call",
    "sqlite_kit",
]
