import smtplib

from app.extensions import db
from app.mails import text_of
from app.models import Order


def confirm(number):
    order = db.session.get(Order, number)
    with smtplib.SMTP("mail.example", 25) as server:  # TXN502
        text_of(server, order)
    db.session.commit()


def confirm_safely(number):
    order = db.session.get(Order, number)
    server = smtplib.SMTP_SSL(host="mail.example")  # TXN502
    text_of(server, order)
    db.session.commit()
