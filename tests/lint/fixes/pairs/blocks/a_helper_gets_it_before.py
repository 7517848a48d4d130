from store.database import SessionLocal
from store.models import Item, check


def store(db, name):
    item = Item(name=name)
    db.add(item)
    db.flush()
    return item.id


def work(name):
    db = SessionLocal()
    try:
        number = store(db, name)
        check(name)
        db.commit()
        return number
    except Exception:
        db.rollback()
        raise
    finally:
        db.close()
