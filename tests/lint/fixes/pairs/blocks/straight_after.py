from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    with session_manager() as session:
        session.add(Item(name=name))
        check(name)
    return name
