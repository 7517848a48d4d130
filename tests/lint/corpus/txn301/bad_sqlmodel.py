from sqlmodel import Session, select

from app.engine import engine
from app.models import Hero


def heroes():
    session = Session(engine)  # TXN301
    return session.exec(select(Hero)).all()
