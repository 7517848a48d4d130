from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def create(name):
    item = Item(name=name)
    db.session.add(item)
    if name == "nobody":
        return item
    db.session.commit()
    return item


def rename(item, name):
    check(name)
    # No other has it.
    item.name = name
    db.session.commit()  # at once


@bp.post("/<name>")
def add(name):
    item = create(f"{name} 1")
    rename(item, name)
    return {"id": item.id}
