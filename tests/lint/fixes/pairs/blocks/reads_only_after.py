from flask_safesession import session_manager
from sqlalchemy import select

from store.models import Item, check


def work(name):
    with session_manager() as db:
        query = select(Item.name).order_by(Item.name)
        names = db.execute(query).scalars().all()
        check(name)
        return list(names)
