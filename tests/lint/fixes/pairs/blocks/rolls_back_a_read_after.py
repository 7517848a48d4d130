from flask_safesession import session_manager
from sqlalchemy import select

from store.models import Item, check


def work(name):
    with session_manager() as db:
        found = db.scalar(select(Item).where(Item.name == name))
        if found:
            return None
        try:
            check(name)

            def label(text):
                return text

        except KeyError:
            names = []
        else:
            names = sorted([name], key=lambda each: each)
        db.add(Item(name=label(names[0])))
