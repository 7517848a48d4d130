from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    with session_manager() as session:
        item = Item(name=name)
        session.add(item)
        check(name)
    return item.id
