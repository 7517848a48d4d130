from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    label = name.strip()
    with session_manager() as db:
        check(label)
        db.add(Item(name=label))
