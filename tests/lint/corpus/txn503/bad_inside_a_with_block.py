from app.database import SessionLocal
from app.models import Order
from app.tasks import send_invoice


def place(data):
    with SessionLocal.begin() as session:
        order = Order(data=data)
        session.add(order)
        session.flush()
        send_invoice.delay(order.id)  # TXN503
