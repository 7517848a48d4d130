from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def store(data):
    order = Order(data=data)
    db.session.add(order)
    db.session.flush()
    return order


def place(data):
    order = store(data)
    send_invoice.delay(order.id)  # TXN503
    db.session.commit()
