from sqlalchemy.exc import OperationalError

from app.database import SessionLocal
from app.models import Shelf

session = SessionLocal()


def session_commit(message=None):
    try:
        session.commit()
    except OperationalError:
        session.rollback()


def archive(books):
    for book in books:
        session.query(Shelf).filter_by(book_id=book.id).delete()
        session_commit()  # TXN501
