from flask_safesession import session_manager

from store.models import Item, check


def work(name):
    for each in (name, f"{name} 2"):
        with session_manager() as db:
            check(each)
            if each == name:
                db.add(Item(name=each))
                continue
            elif each:
                db.add(Item(name=each))
                return "both", 2
