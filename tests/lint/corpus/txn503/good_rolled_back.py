from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Order
from app.tasks import report_conflict


def place(data):
    db.session.add(Order(data=data))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        report_conflict.delay(data)
