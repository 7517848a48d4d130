from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        db.add(Item(name=name))
        db.flush()
        check(name)
        db.commit()
    except Exception as error:
        db.rollback()
        raise RuntimeError(f"{name} was not stored") from error
    finally:
        db.close()
