from flask_safesession import session_manager

from store.models import Item, check


def note(text):
    with session_manager(propagation="requires_new") as db:
        db.add(Item(name=text))


def work(name):
    with session_manager() as db:
        check(name)
        note(f"{name} seen")
        db.add(Item(name=name))
