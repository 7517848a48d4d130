from store.database import SessionLocal
from store.models import Item, check


def put(session, text):
    session.add(Item(name=text))


def work(name):
    db = SessionLocal()
    try:
        log = SessionLocal()
        try:
            put(log, f"{name} log")
            log.commit()
        finally:
            log.close()
        check(name)
        db.add(Item(name=name))
        db.commit()
    finally:
        db.close()
