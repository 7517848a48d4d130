from sqlalchemy.orm import Session

from app.models import Account


class Provider:
    def __init__(self, session: Session, data: dict):
        self.session = session
        self.data = data

    def create(self):
        try:
            account = Account(**self.data)
            self.session.add(account)
            self.session.commit()
        except Exception:  # TXN201
            return None
        return account
