import logging

from store.database import SessionLocal
from store.models import Item, check

log = logging.getLogger(__name__)


def work(name):
    db = None
    try:
        db = SessionLocal()
        db.add(Item(name=name))
        check(name)
        db.commit()
        return True
    except ValueError as error:
        if db is not None:
            db.rollback()
        log.warning("refused: %s", error)
        return False
    finally:
        if db:
            db.close()
