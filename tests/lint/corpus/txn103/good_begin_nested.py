from sqlalchemy.orm import Session

from app.models import Tag


def ensure(session: Session, name):
    with session.begin_nested():
        session.add(Tag(name=name))
