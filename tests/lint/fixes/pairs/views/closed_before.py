from flask import Blueprint, jsonify

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    item = Item(name=name)
    db.session.add(item)
    check(name)
    db.session.commit()
    shown = jsonify(id=item.id)
    db.session.close()

    return shown
