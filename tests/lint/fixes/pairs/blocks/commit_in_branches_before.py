from sqlalchemy import select

from store.database import SessionLocal
from store.models import Item


def work(name):
    db = SessionLocal()
    try:
        item = db.scalar(select(Item).where(Item.name == name))
        if item is None:
            db.add(Item(name=name))
            db.commit()
            return "new"
        else:
            item.name = f"{name} 2"
            db.commit()
            return item.name
    except:
        db.rollback()
        raise
    finally:
        db.close()
