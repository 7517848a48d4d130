from flask_safesession import session_manager

from store.models import Item, check


class Shelf:
    """Items."""

    def put(self, name):
        if name:
            with session_manager() as db:
                db.add(Item(name=name))
                check(name)
            # Nothing half done.


work = Shelf().put
