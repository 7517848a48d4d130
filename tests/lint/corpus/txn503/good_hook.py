from flask_safesession import on_commit

from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def place(data):
    order = Order(data=data)
    db.session.add(order)
    on_commit(send_invoice.delay, data)
    db.session.commit()
