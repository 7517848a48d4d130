from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    """Store an item."""
    # One session for all of it.
    with session_manager() as db:  # opened here
        check(name)
        # The row comes last.
        db.add(Item(name=name))
