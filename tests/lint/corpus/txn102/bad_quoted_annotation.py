from __future__ import annotations

from typing import TYPE_CHECKING

from app.models import Tag

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def add_tag(name: str, session: "Session") -> None:
    session.add(Tag(name=name))
    session.commit()  # TXN102
