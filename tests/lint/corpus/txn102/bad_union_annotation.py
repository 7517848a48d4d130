from sqlalchemy.orm import Session, scoped_session

from app.models import Tag


def add_tag(name: str, session: Session | scoped_session):
    session.add(Tag(name=name))
    session.commit()  # TXN102
