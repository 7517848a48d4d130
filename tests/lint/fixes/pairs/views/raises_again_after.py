from flask import Blueprint, abort
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    if not name.isprintable():
        abort(404)
    # One item.
    check(name)
    db.session.add(Item(name=name))
    # Ticket 12:
    # nothing half done.
    return "", 204
