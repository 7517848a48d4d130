from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    # Kept from the first line.
    # Kept as well.
    # About the session.
    with session_manager() as db:
        found = [one for one in (name, name)]
        first, second = found
        for letter in first:
            if letter == "?":
                break
        while second != first:
            raise ValueError(second)
        if not name:
            raise ValueError(name)
        elif name == "none":
            return 0
        else:
            db.add(Item(name=name))
        check(name)
        # Stored at once.
    # Nothing stays open.
