from flask_safesession import session_manager

from store.models import Item


def work(name):
    with session_manager() as db:
        item = Item(name=name)
        db.add(item)
        db.flush()
        db.refresh(item)
        return item.id
