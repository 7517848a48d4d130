from flask_safesession import session_manager

from store.models import Item, check


def create(session, name):
    item = Item(name=name)
    session.add(item)
    session.flush()
    return item


def work(name):
    with session_manager() as db:
        first = create(db, f"{name} 1")
        check(name)
        second = create(db, name)
        return [first.name, second.name]
