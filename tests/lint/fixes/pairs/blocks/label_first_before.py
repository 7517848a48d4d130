from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    label = name.strip()
    try:
        check(label)
        db.add(Item(name=label))
        db.commit()
    finally:
        db.close()
