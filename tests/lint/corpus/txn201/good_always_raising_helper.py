from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Slot


class Conflict(Exception):
    pass


def refuse(message):
    raise Conflict(message)


def book(slot: Slot):
    try:
        db.session.add(slot)
        db.session.commit()
    except IntegrityError:
        refuse("the slot is taken")
