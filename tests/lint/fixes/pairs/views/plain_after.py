from flask import Blueprint, redirect
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    """Add an item."""
    check(name)
    db.session.add(Item(name=name))
    # stored
    return redirect("/")
