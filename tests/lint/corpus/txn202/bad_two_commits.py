from app.database import SessionLocal
from app.models import Line

db = SessionLocal()


def add(text):
    db.add(Line(text=text))
    db.commit()  # TXN202


def clear():
    db.query(Line).delete()
    db.commit()  # TXN202
