from app.database import SessionLocal
from app.models import Account


def names():
    session = SessionLocal()
    with session:
        return [account.name for account in session.query(Account)]
