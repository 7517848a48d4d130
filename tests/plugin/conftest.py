"""Fixtures for projects that pytest runs inside a test."""

from __future__ import annotations

import pytest

from .inner import Inner


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A project with a small shop."""
    # It would forget what was imported meanwhile, such as a dialect of SQLAlchemy, which cannot be imported twice. The
    # inner runs are processes of their own: there is nothing to forget.
    monkeypatch.setattr(pytester._sys_modules_snapshot, "restore", lambda: None)
    return Inner(pytester, monkeypatch)
