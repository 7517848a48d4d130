from app.database import SessionLocal
from app.models import Account


def open_account(owner):
    with SessionLocal.begin() as session:
        session.add(Account(owner=owner))
