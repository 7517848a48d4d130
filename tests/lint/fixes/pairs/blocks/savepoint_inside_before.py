from sqlalchemy.exc import IntegrityError

from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db = SessionLocal()
    try:
        try:
            with db.begin_nested():
                db.add(Item(name=name))
        except IntegrityError:
            db.add(Item(name=f"{name} again"))
        check(name)
        db.commit()
    except Exception:
        db.rollback()
        raise
    finally:
        db.close()
