from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name): check(name); db.session.add(Item(name=name)); db.session.commit(); return ""  # stored
