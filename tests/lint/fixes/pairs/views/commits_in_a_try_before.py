from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    db.session.add(Item(name=name))
    check(name)
    try:
        db.session.commit()
    except Exception:
        db.session.rollback()
        raise
    finally:
        db.session.close()
    return "ok"
