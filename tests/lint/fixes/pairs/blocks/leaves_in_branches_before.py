from store.database import SessionLocal
from store.models import Item, check


def work(name):
    stored = []
    for each in (name, f"{name} 2"):
        db = SessionLocal()
        try:
            check(each)
            if each == name:
                db.add(Item(name=each))
                db.commit()
                stored.append(each)
                continue
            if stored:
                db.add(Item(name=each))
                db.commit()
                return "both", 2
        except:
            db.rollback()
            raise
        finally:
            db.close()
