from sqlalchemy import select

from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        found = db.scalar(select(Item).where(Item.name == name))
        if found:
            db.rollback()
            return None
        try:
            check(name)

            def label(text):
                return text

        except KeyError:
            names = []
        else:
            names = sorted([name], key=lambda each: each)
        db.add(Item(name=label(names[0])))
        db.commit()
    finally:
        db.close()
