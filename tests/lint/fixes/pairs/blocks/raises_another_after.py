from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    try:
        with session_manager() as db:
            db.add(Item(name=name))
            db.flush()
            check(name)
    except Exception as error:
        raise RuntimeError(f"{name} was not stored") from error
