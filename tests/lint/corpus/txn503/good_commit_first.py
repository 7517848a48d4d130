from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def place(data):
    order = Order(data=data)
    db.session.add(order)
    db.session.commit()
    send_invoice.delay(order.id)
