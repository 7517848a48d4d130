from app.database import SessionLocal
from app.models import Author

session = SessionLocal()


def names():
    return [author.name for author in session.query(Author)]
