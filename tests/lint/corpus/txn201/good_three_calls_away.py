from app.extensions import db, warehouse
from app.log import log
from app.models import Token


def store_token(token):
    db.session.add(Token(token))
    db.session.flush()


def refresh():
    store_token(warehouse.login())


def connect():
    refresh()
    return warehouse.connect()


def run(statement):
    return connect().run(statement)


def functions():
    try:
        return run("show functions")
    except Exception:
        log.exception("warehouse")
        return []
