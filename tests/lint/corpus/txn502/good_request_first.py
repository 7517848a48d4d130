import requests

from app.extensions import db
from app.models import Rate


def update(currency):
    value = requests.get(f"https://rates.example/{currency}").json()
    db.session.add(Rate(currency=currency, value=value))
    db.session.commit()
