import requests

from app.extensions import db
from app.models import Order


def place(data):
    order = Order(data=data)
    db.session.add(order)
    order.price = requests.get("https://prices.example").json()
    db.session.commit()
