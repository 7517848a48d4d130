from sqlalchemy import select

from app.database import SessionLocal
from app.models import Page


def pages():
    return SessionLocal().scalars(select(Page)).all()  # TXN301


def count():
    return SessionLocal().query(Page).filter(Page.draft).count()  # TXN301


def number_of_pages():
    return len(SessionLocal().query(Page).all())  # TXN301


def first(number):
    return SessionLocal().get(Page, number)  # TXN301
