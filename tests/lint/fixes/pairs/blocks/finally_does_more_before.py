from store.database import SessionLocal
from store.models import Item, check


def work(name):
    seen = []
    db = SessionLocal()
    try:
        db.add(Item(name=name))
        check(name)
        db.commit()
    except:
        db.rollback()
        raise
    finally:
        seen.append(name)
        db.close()
    return seen
