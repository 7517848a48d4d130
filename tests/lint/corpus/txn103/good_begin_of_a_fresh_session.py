from app.database import SessionLocal
from app.models import Account


def open_account(owner):
    with SessionLocal() as session, session.begin():
        session.add(Account(owner=owner))
