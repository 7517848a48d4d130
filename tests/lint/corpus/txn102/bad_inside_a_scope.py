from flask_safesession import session_manager

from app.extensions import db
from app.models import Order


def place(number):
    with session_manager():
        db.session.add(Order(number=number))
        db.session.commit()  # TXN102


def replace(number):
    with session_manager() as session:
        try:
            session.add(Order(number=number))
            session.flush()
        except ValueError:
            session.rollback()  # TXN102
            raise
