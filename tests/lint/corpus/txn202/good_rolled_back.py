from sqlalchemy.exc import OperationalError

from app.database import SessionLocal
from app.models import Download

session = SessionLocal()


def note(book_id):
    session.add(Download(book_id=book_id))
    try:
        session.commit()
    except OperationalError:
        session.rollback()
