from time import sleep

from sqlalchemy.exc import OperationalError

from app.extensions import db
from app.models import Item


def store(item: Item):
    for _ in range(3):
        try:
            db.session.add(item)
            db.session.flush()
            db.session.commit()
            return
        except OperationalError:
            db.session.rollback()
            sleep(1)
