from sqlalchemy.orm import Session

from app.models import Account


def close(session: Session, account: Account):
    if session.in_transaction():
        account.closed = True
    else:
        with session.begin():
            account.closed = True
