from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    stored = []
    for each in (name, f"{name} 2"):
        with session_manager() as db:
            check(each)
            if each == name:
                db.add(Item(name=each))
                db.flush()
                stored.append(each)
                continue
            if stored:
                db.add(Item(name=each))
                return "both", 2
