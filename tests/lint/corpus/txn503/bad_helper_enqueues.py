from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def notify(order):
    send_invoice.delay(order.id)


def place(data):
    order = Order(data=data)
    db.session.add(order)
    db.session.flush()
    notify(order)  # TXN503
    db.session.commit()
