"""An attempt holds its connection for as long as its block takes."""

import requests
from flask_safesession import attempts

from app.models import Payment


def pay(number):
    for attempt in attempts():
        with attempt as session:
            payment = session.get(Payment, number)
            payment.receipt = requests.post("https://pay.example/charge", timeout=5).text  # TXN502
