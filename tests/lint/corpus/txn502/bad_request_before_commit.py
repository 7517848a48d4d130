import requests

from app.extensions import db
from app.models import Order


def ship(order_id):
    order = db.session.get(Order, order_id)
    answer = requests.post("https://carrier.example/ship", json=order.data)  # TXN502
    order.tracking = answer.json()["id"]
    db.session.commit()
