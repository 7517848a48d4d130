from store.database import SessionLocal
from store.models import Item, check


def work(name):
    for each in (name, f"{name} 2"):
        db = SessionLocal()
        try:
            check(each)
            if each == name:
                db.add(Item(name=each))
                db.commit()
                continue
            elif each:
                db.add(Item(name=each))
                db.commit()
                return "both", 2
        finally:
            db.close()
