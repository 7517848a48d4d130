from flask_safesession import session_manager
from sqlalchemy import select

from store.models import Item


def work(name):
    with session_manager() as db:
        item = db.scalar(select(Item).where(Item.name == name))
        if item is None:
            db.add(Item(name=name))
            return "new"
        else:
            item.name = f"{name} 2"
            db.flush()
            return item.name
