from flask_safesession import session_manager

from store.models import check


def work(name):
    with session_manager() as db:
        check(name)
