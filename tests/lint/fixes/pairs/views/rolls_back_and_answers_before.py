from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    if Item.query.filter_by(name=name).first():
        db.session.rollback()
        return "dup", 409
    check(name)
    db.session.add(Item(name=name))
    db.session.commit()
    return "ok", 201
