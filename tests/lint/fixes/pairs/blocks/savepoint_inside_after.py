from flask_safesession import session_manager
from sqlalchemy.exc import IntegrityError

from store.models import Item, check


def work(name):
    with session_manager() as db:
        try:
            with db.begin_nested():
                db.add(Item(name=name))
        except IntegrityError:
            db.add(Item(name=f"{name} again"))
        check(name)
