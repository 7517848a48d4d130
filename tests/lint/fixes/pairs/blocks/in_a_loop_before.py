from store.database import SessionLocal
from store.models import Item, check


def work(name):
    done = []
    for number in range(3):
        db = SessionLocal()
        try:
            if number == 1:
                check(name)
                continue
            db.add(Item(name=f"{name} {number}"))
            db.commit()
            done.append(number)
        except ValueError:
            db.rollback()
            break
        finally:
            db.close()
    return done
