from store.database import SessionLocal
from store.models import check


def work(name):
    db = SessionLocal()
    check(name)
    db.close()
