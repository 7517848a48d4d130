from sqlalchemy.exc import SQLAlchemyError

from app.database import SessionLocal
from app.models import Author

session = SessionLocal()


def commit():
    try:
        session.commit()
    except SQLAlchemyError:
        session.rollback()
        raise


def prepare(name):
    session.add(Author(name=name))
    commit()
