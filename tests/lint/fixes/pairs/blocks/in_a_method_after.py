from flask_safesession import session_manager

from store.models import Item, check


class Shelf:
    """Items."""

    def put(self, name):
        if name:
            # Nothing half done.
            with session_manager() as db:
                db.add(Item(name=name))
                check(name)


work = Shelf().put
