from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    with session_manager() as db:
        first = Item(name=f"{name} 1")
        db.add(first)
        db.flush()
        check(name)
        db.add(Item(name=name))
