from store.database import SessionLocal
from store.models import Item


def work(name):
    db = SessionLocal()
    try:
        item = Item(name=name)
        db.add(item)
        db.commit()
        db.refresh(item)
        return item.id
    except Exception as error:
        db.rollback()
        raise error
    finally:
        db.close()
