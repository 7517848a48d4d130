from functools import wraps

from app.extensions import db
from app.log import log
from app.models import Theme


def transaction(function):
    @wraps(function)
    def wrapper(*args):
        try:
            result = function(*args)
            db.session.commit()
            return result
        except Exception:
            db.session.rollback()
            raise

    return wrapper


@transaction
def store_theme(name):
    db.session.add(Theme(name=name))
    db.session.flush()


def seed(names):
    for name in names:
        store_theme(name)


def start(names):
    try:
        seed(names)
    except Exception:
        log.exception("themes")
