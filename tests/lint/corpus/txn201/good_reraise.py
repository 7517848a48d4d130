import logging

from app.extensions import db
from app.models import Order


def place(order: Order):
    try:
        db.session.add(order)
        db.session.commit()
    except Exception:
        logging.exception("order was not placed")
        raise
