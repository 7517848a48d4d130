from store.database import SessionLocal
from store.models import Item, check


def work(name):
    # Kept from the first line.
    db = None
    # Kept as well.
    try:
        # About the session.
        db = SessionLocal()
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
        db.commit()
    except ValueError as error:
        raise error
    finally:
        # Nothing stays open.
        if db:
            db.close()
