from app.extensions import db
from app.tasks import send_invoice


class Order(db.Model):
    __tablename__ = "order"


def pay(order_id):
    order = Order.query.get(order_id)
    order.paid = True
    db.session.commit()
    send_invoice.delay(order)  # TXN401
