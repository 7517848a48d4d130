from sqlalchemy.orm import Session

from app.models import Product


class Products:
    def __init__(self, session: Session):
        self.session = session

    def add(self, product: Product):
        self.session.add(product)
        self.session.commit()  # TXN102
