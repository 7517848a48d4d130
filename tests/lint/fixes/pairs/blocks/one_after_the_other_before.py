from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        db.add(Item(name=f"{name} 1"))
        db.commit()
    finally:
        db.close()

    db = SessionLocal()
    try:
        check(name)
        db.add(Item(name=f"{name} 2"))
        db.commit()
    finally:
        db.close()
