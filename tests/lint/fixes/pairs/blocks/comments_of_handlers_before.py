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
    except IntegrityError:  # The name is unique.
        # The first one keeps it.
        db.rollback()
        # The caller picks another.
        return "taken"
    except LookupError:
        # Nothing to do.
        db.rollback()
    # Ticket 12:
    except Exception:  # whatever it was
        # nothing is stored.
        db.rollback()  # It was half done.
        raise
    finally:
        # It goes back into the pool.
        db.close()
