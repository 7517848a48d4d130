from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models import Tag


def ensure(session: Session, name: str):
    try:
        with session.begin_nested():
            session.add(Tag(name=name))
            session.flush()
    except IntegrityError:
        pass
