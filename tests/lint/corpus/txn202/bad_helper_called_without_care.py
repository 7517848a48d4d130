from app.database import SessionLocal
from app.models import Entry

session = SessionLocal()


def save():
    session.commit()  # TXN202


def write(text):
    session.add(Entry(text=text))
    save()
