from sqlalchemy.orm import Session

from app.models import Stock


class Warehouse:
    def __init__(self, session: Session):
        self.session = session

    def take(self, stock: Stock):
        with self.session.begin():  # TXN103
            stock.amount -= 1
