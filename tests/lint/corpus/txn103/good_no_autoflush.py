from sqlalchemy.orm import Session

from app.models import Account


def clone(session: Session, account: Account):
    with session.no_autoflush:
        session.add(account.copy())
