from flask import Blueprint
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    if Item.query.filter_by(name=name).first():
        return "dup", 409
    check(name)
    db.session.add(Item(name=name))
    return "ok", 201
