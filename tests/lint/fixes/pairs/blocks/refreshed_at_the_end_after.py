from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    try:
        with session_manager() as db:
            check(name)
            item = Item(name=name)
            db.add(item)
            db.flush()
            db.refresh(item)
    except Exception:
        if name:
            pass
        raise
