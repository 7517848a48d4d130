from store.database import SessionLocal
from store.models import Item, check


def work(name):
    session = SessionLocal()
    session.add(Item(name=name))
    check(name)
    session.commit()
    session.close()
    return name
