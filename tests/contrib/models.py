"""A mapped class that can be pickled, as those of real programs can."""

from __future__ import annotations

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Product"]


class _Base(DeclarativeBase):
    pass


class Product(_Base):
    """Something to sell."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int] = mapped_column(default=0)

    def restock(self, by: int) -> None:
        """Get more of it."""
        self.stock += by
