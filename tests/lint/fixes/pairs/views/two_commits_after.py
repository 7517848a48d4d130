from flask import Blueprint
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    first = Item(name=f"{name} 1")
    db.session.add(first)
    db.session.flush()
    check(name)
    db.session.add(Item(name=name))
    db.session.flush()
    return {"first": first.id}
