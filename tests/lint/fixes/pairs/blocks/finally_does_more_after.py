from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    seen = []
    try:
        with session_manager() as db:
            db.add(Item(name=name))
            check(name)
    finally:
        seen.append(name)
    return seen
