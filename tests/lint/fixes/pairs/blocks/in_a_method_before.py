from store.database import SessionLocal
from store.models import Item, check


class Shelf:
    """Items."""

    def put(self, name):
        if name:
            db = SessionLocal()
            try:
                db.add(Item(name=name))
                check(name)
                db.commit()
            except Exception:
                # Nothing half done.
                try:
                    db.rollback()
                except Exception:
                    pass
                raise
            finally:
                db.close()


work = Shelf().put
