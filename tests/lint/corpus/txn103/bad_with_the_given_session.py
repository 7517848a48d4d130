from sqlalchemy.orm import Session

from app.models import Page


def pages(session: Session):
    with session:  # TXN103
        return session.query(Page).all()
