from flask_safesession import session_manager

from app.models import Item


def saved():
    with session_manager() as session:
        with session.begin_nested():
            session.add(Item())
