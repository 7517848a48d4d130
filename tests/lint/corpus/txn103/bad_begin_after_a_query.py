from app.database import SessionLocal
from app.models import Account


def close(account_id):
    with SessionLocal() as session:
        account = session.get(Account, account_id)
        with session.begin():  # TXN103
            account.closed = True
