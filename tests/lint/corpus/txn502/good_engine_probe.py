from time import sleep

from sqlalchemy.exc import DatabaseError

from app.extensions import db


def wait_for_database():
    while True:
        try:
            db.engine.connect().close()
            return
        except DatabaseError:
            sleep(30)
