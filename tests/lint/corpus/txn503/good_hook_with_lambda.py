from flask_safesession import on_commit

from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def place(data):
    order = Order(data=data)
    db.session.add(order)
    on_commit(lambda: send_invoice.delay(order.id))
    db.session.commit()
