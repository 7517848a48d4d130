from store.database import SessionLocal
from store.models import Item, check


def work(name):
    session = SessionLocal()
    item = Item(name=name)
    session.add(item)
    check(name)
    session.commit()
    return item.id
