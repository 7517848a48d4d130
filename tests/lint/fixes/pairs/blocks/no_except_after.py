from flask_safesession import session_manager
from sqlalchemy import select

from store.models import Item


def work(name):
    with session_manager() as session:
        if session.scalar(select(Item).where(Item.name == name)):
            return "known"
        session.add(Item(name=name))
    return "stored"
