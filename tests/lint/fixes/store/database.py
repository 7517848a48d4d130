"""The session factory; each test gives it an engine."""

from __future__ import annotations

from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()
"""Replaced by each test, before it runs a module that imports it."""
