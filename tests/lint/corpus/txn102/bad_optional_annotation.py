from typing import Optional

from sqlalchemy.orm import Session

from app.models import Tag


def add_tag(name: str, session: Optional[Session]):
    session.add(Tag(name=name))
    session.commit()  # TXN102
