from flask import Blueprint, redirect

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    """Add an item."""
    check(name)
    db.session.add(Item(name=name))
    db.session.commit()  # stored
    return redirect("/")
