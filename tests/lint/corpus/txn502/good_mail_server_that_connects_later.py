import smtplib

from app.extensions import db
from app.models import Order


def confirm(number):
    db.session.get(Order, number).confirmed = True
    server = smtplib.SMTP(timeout=3)
    db.session.commit()
    server.connect("mail.example")
