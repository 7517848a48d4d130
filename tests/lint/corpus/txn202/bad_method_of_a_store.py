from sqlmodel import Session

from app.engine import engine
from app.models import Hero

session = Session(engine)


class Heroes:
    def add(self, name):
        session.add(Hero(name=name))
        session.commit()  # TXN202
