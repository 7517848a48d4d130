from sqlalchemy.orm import Session

from app.models import Address


def move(db: Session, address: Address, city: str):
    s = db
    address.city = city
    s.commit()  # TXN102
