from flask_safesession import session_manager

from app.extensions import db
from app.models import Order


def book(number):
    db.session.add(Order(number=number))
    db.session.commit()  # TXN102


def book_all(numbers):
    for number in numbers:
        book(number)


def take_over(numbers):
    with session_manager(propagation="requires_new"):
        book_all(numbers)
