"""The columns that both sides have; each side makes its own tables of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKeyConstraint, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

DEFERRING = ("sqlite", "postgresql")


class BatchColumns:
    """The head of a unit."""

    id: Mapped[int] = mapped_column(primary_key=True)
    unit: Mapped[int] = mapped_column(index=True)


class LineColumns:
    """One of the three lines of a unit."""

    id: Mapped[int] = mapped_column(primary_key=True)
    unit: Mapped[int] = mapped_column(index=True)
    batch_id: Mapped[int]
    position: Mapped[int]


class TrailColumns:
    """The note that a unit was stored, and by which badge."""

    id: Mapped[int] = mapped_column(primary_key=True)
    unit: Mapped[int] = mapped_column(index=True)
    badge: Mapped[int]


class TagColumns:
    """A label; it is welcome, but no unit fails for want of it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)


class BadgeColumns:
    """Somebody who may store units."""

    id: Mapped[int] = mapped_column(primary_key=True)


def line_constraints(prefix: str) -> tuple[Any, ...]:
    """Return the constraints of the lines: their batch exists, and a position occurs once."""
    return (
        ForeignKeyConstraint(["batch_id"], [f"{prefix}_batch.id"]),
        UniqueConstraint("unit", "position"),
    )


def trail_constraints(prefix: str) -> tuple[Any, ...]:
    """Return the constraint that is checked at COMMIT, where the database has such a thing."""
    badge = ForeignKeyConstraint(
        ["badge"], [f"{prefix}_badge.id"], deferrable=True, initially="DEFERRED"
    )
    return (badge.ddl_if(callable_=_defers),)


def _defers(*_: object, dialect: Any, **__: object) -> bool:
    return dialect.name in DEFERRING
