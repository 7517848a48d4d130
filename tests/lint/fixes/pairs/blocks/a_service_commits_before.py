from store.database import SessionLocal
from store.models import Item, check


def create(session, name):
    item = Item(name=name)
    session.add(item)
    session.commit()
    return item


def work(name):
    db = SessionLocal()
    try:
        first = create(db, f"{name} 1")
        check(name)
        second = create(db, name)
        return [first.name, second.name]
    finally:
        db.close()
