from sqlalchemy import select

from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        query = select(Item.name).order_by(Item.name)
        names = db.execute(query).scalars().all()
        check(name)
        return list(names)
    finally:
        db.close()
