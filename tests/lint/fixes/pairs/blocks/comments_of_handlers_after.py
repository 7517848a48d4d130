from flask_safesession import session_manager
from sqlalchemy.exc import IntegrityError

from store.models import Item, check


def work(name):
    try:
        with session_manager() as db:
            check(name)
            db.add(Item(name=name))
    except IntegrityError:  # The name is unique.
        # The first one keeps it.
        # The caller picks another.
        return "taken"
    except LookupError:
        # Nothing to do.
        pass
    # Ticket 12:
    # whatever it was
    # nothing is stored.
    # It was half done.
    # It goes back into the pool.
