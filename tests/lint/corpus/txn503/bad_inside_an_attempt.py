"""An attempt commits at the end of its block, after the job was sent."""

from flask_safesession import attempts

from app.models import Order
from app.tasks import send_confirmation


def place_order(customer):
    for attempt in attempts():
        with attempt as session:
            order = Order(customer=customer)
            session.add(order)
            session.flush()
            send_confirmation.delay(order.id)  # TXN503
