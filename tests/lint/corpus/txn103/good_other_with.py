from sqlalchemy.orm import Session

from app.models import Account


def audit(session: Session):
    with open("audit.txt", "w") as target:
        for account in session.query(Account):
            target.write(account.name)
