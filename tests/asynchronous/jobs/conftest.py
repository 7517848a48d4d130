"""The same kits and the same event loop as the tests of scopes have."""

from __future__ import annotations

from ..scopes.conftest import async_kits, every_kit, kit, make_kit, pytest_pyfunc_call, sqlite_kit

__all__ = ["async_kits", "every_kit", "kit", "make_kit", "pytest_pyfunc_call", "sqlite_kit"]
