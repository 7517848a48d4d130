from app.database import SessionLocal
from app.models import Author

session = SessionLocal()


def prepare(name):
    try:
        session.add(Author(name=name))
        session.commit()
    finally:
        session.rollback()
