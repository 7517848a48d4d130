from app.extensions import db
from app.models import Order
from app.tasks import send_invoice


def place_all(rows):
    waiting = []
    for row in rows:
        order = Order(data=row)
        db.session.add(order)
        waiting.append(order)
    db.session.commit()
    for order in waiting:
        send_invoice.delay(order.id)
