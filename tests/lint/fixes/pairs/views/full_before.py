from flask import Blueprint, jsonify
from sqlalchemy.exc import IntegrityError

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.route("/<name>", methods=["POST"])
def add(name):
    check(name)
    item = Item(name=name)
    try:
        db.session.add(item)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return "exists", 409
    return jsonify(id=item.id, name=item.name), 201
