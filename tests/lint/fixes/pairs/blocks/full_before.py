from store.database import SessionLocal
from store.models import Item, check


def work(name):
    """Store an item."""
    # One session for all of it.
    db = SessionLocal()  # opened here
    try:
        check(name)
        # The row comes last.
        db.add(Item(name=name))
        db.commit()
    except Exception:
        db.rollback()
        raise
    finally:
        db.close()
