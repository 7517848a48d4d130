from app.database import SessionLocal
from app.models import Author


def prepare(name):
    with SessionLocal() as session:
        session.add(Author(name=name))
        session.commit()
