from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def place(data):
    order = Order(data=data)
    db.session.add(order)
    db.session.flush()
    send_invoice.delay_on_commit(order.id)
    db.session.commit()
