from flask import Blueprint, jsonify
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    item = Item(name=name)
    db.session.add(item)
    check(name)
    db.session.flush()
    shown = jsonify(id=item.id)

    return shown
