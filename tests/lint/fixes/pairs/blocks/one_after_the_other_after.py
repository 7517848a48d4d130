from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    with session_manager() as db:
        db.add(Item(name=f"{name} 1"))

    with session_manager() as db:
        check(name)
        db.add(Item(name=f"{name} 2"))
