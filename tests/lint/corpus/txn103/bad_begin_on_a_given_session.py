from sqlalchemy.orm import Session

from app.models import Account


def transfer(session: Session, source: Account, target: Account, amount: int):
    with session.begin():  # TXN103
        source.balance -= amount
        target.balance += amount
