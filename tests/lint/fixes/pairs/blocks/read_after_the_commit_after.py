from flask_safesession import session_manager
from sqlalchemy import func, select

from store.models import Item, check


def add(name):
    with session_manager(propagation="requires_new") as db:
        item = Item(name=name)
        db.add(item)
        db.flush()
        return item.id


def count():
    with session_manager(propagation="requires_new") as db:
        query = select(func.count()).select_from(Item)
        return db.scalar(query)


def make(name):
    with session_manager() as db:
        item = Item(name=name)
        db.add(item)
    return item


def work(name):
    with session_manager() as db:
        check(name)
        first = add(name)
        db.add(Item(name=f"{name} {count()}"))
    return first
