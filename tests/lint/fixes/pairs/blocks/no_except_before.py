from sqlalchemy import select

from store.database import SessionLocal
from store.models import Item


def work(name):
    session = SessionLocal()
    try:
        if session.scalar(select(Item).where(Item.name == name)):
            return "known"
        session.add(Item(name=name))
        session.commit()
        return "stored"
    finally:
        session.close()
