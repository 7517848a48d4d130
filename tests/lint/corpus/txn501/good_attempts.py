from sqlalchemy.exc import OperationalError

from app.extensions import db


def store(row):
    for attempt in range(3):
        try:
            db.session.add(row)
            db.session.commit()
            return attempt
        except OperationalError:
            db.session.rollback()
    return None
