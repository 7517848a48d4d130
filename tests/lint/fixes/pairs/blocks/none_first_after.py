import logging

from flask_safesession import session_manager

from store.models import Item, check

log = logging.getLogger(__name__)


def work(name):
    try:
        with session_manager() as db:
            db.add(Item(name=name))
            check(name)
        return True
    except ValueError as error:
        log.warning("refused: %s", error)
        return False
