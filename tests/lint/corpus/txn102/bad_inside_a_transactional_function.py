from flask_safesession import SafeSession, transactional

from app.extensions import db
from app.models import Order

safe = SafeSession()


@transactional
def place(number):
    db.session.add(Order(number=number))
    db.session.commit()  # TXN102


def count_again(order):
    order.count += 1
    db.session.commit()  # TXN102


@safe.transactional(retry=3)
def repeat(order):
    count_again(order)
