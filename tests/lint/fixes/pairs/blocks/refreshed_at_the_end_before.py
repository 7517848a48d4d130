from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        check(name)
        item = Item(name=name)
        db.add(item)
        db.commit()
        db.refresh(item)
    except Exception:
        if name: db.rollback()
        raise
    finally:
        db.close()
