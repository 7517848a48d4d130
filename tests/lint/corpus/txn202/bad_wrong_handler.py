from app.database import SessionLocal
from app.models import Shelf

session = SessionLocal()


def create(name):
    try:
        session.add(Shelf(name=name))
        session.commit()  # TXN202
    except ValueError:
        print("bad name")
