from store.database import SessionLocal
from store.models import Item, check


def work(name):
    def label():
        return name, 1

    names = []
    db = SessionLocal()
    try:
        (first, number) = label()
        for _ in range(number):
            if first == "?":
                raise ValueError(first)
        while not first:
            break
        else:
            names.append(first)
        names[0] = first
        db.add(Item(name=first))
        check(name)
        db.commit()
        return "stored", 1
    except ValueError:
        db.rollback()
        names.append("refused")
    db.close()
    return names
