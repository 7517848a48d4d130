from flask_safesession import session_manager

from store.models import Item, check


def store(db, name):
    item = Item(name=name)
    db.add(item)
    db.flush()
    return item.id


def work(name):
    with session_manager() as db:
        number = store(db, name)
        check(name)
    return number
