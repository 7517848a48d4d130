"""The tables, and a check that fails."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The base of the models."""


class Item(Base):
    """Something with a name of its own."""

    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


def check(name: str) -> None:
    """Refuse the name ``bad``.

    Raises:
        ValueError: If *name* is that.
    """
    if name == "bad":
        raise ValueError(name)
