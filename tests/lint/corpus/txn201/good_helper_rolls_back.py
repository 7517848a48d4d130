from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Note


def give_up(message):
    db.session.rollback()
    print(message)


def keep(text):
    try:
        db.session.add(Note(text=text))
        db.session.commit()
    except SQLAlchemyError:
        give_up("not kept")
