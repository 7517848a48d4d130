from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        check(name)
        db.add(Item(name=name))
        db.commit()
    except ValueError:
        db.rollback()
        return "refused"
    else:
        return "stored"
    finally:
        db.close()
