from store.database import SessionLocal
from store.models import Item, check


def note(text):
    db = SessionLocal()
    try:
        db.add(Item(name=text))
        db.commit()
    finally:
        db.close()


def work(name):
    db = SessionLocal()
    try:
        check(name)
        note(f"{name} seen")
        db.add(Item(name=name))
        db.commit()
    finally:
        db.close()
