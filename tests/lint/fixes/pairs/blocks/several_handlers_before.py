from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.database import SessionLocal
from store.models import Item, check


def work(name):
    db: Session = SessionLocal()
    try:
        check(name)
        db.add(Item(name=name))
        db.commit()
    except IntegrityError:
        db.rollback()
        return "taken"
    except Exception:
        db.rollback()
        raise
    finally:
        db.close()
