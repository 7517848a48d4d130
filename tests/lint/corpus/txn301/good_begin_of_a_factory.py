from sqlalchemy.orm import sessionmaker

from app.engine import engine
from app.models import Entry

Session = sessionmaker(engine)


def log(text):
    with Session.begin() as session:
        session.add(Entry(text=text))
