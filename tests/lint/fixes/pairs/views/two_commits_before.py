from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    first = Item(name=f"{name} 1")
    db.session.add(first)
    db.session.commit()
    check(name)
    db.session.add(Item(name=name))
    db.session.commit()
    return {"first": first.id}
