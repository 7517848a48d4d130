from app.database import SessionLocal
from app.models import Author

session = SessionLocal()


def prepare(name):
    session.add(Author(name=name))
    session.commit()


def upload(name):
    try:
        prepare(name)
    except Exception:
        session.rollback()
        raise
