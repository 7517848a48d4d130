import requests

from app.extensions import db
from app.models import Order


def ship(number):
    db.session.get(Order, number).shipped = True
    requests.post("https://carrier.example")  # TXN502
    db.session.commit()
