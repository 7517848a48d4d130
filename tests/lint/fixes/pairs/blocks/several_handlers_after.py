from flask_safesession import session_manager
from sqlalchemy.exc import IntegrityError

from store.models import Item, check


def work(name):
    try:
        with session_manager() as db:
            check(name)
            db.add(Item(name=name))
    except IntegrityError:
        return "taken"
