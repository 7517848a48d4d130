from flask import Blueprint
from flask_safesession import transactional

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):  # stored
    check(name)
    db.session.add(Item(name=name))
    return ""
