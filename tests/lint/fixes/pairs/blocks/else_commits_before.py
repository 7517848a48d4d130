from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        db.add(Item(name=name))
        check(name)
    except:
        db.rollback()
        raise
    else:
        db.commit()
    finally:
        db.close()
