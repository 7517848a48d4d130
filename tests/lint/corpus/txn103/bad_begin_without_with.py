from sqlalchemy.orm import Session

from app.models import Batch


def start(session: Session):
    session.begin()  # TXN103
    session.add(Batch())
