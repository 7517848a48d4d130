from flask_safesession import session_manager

from store.models import Item, check


def put(session, text):
    session.add(Item(name=text))


def work(name):
    with session_manager() as db:
        with session_manager(propagation="requires_new") as log:
            put(log, f"{name} log")
        check(name)
        db.add(Item(name=name))
