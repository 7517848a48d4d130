from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        first = Item(name=f"{name} 1")
        db.add(first)
        db.commit()
        check(name)
        db.add(Item(name=name))
        db.commit()
    finally:
        db.close()
