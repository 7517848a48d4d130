from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    def label():
        return name, 1

    names = []
    try:
        with session_manager() as db:
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
        return "stored", 1
    except ValueError:
        names.append("refused")
    return names
