from flask import Blueprint, abort

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    if not name.isprintable():
        abort(404)
    # One item.
    try:
        check(name)
        db.session.add(Item(name=name))
        db.session.commit()
    except Exception:  # Ticket 12:
        # nothing half done.
        db.session.rollback()
        raise
    finally:
        db.session.close()
    return "", 204
