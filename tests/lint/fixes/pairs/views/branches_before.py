from functools import wraps

from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def counted(view):
    @wraps(view)
    def counting(name):
        return view(name)

    return counting


@bp.post("/<name>")
@bp.post("/other/<name>")
@counted
def add(name):
    item = Item.query.filter_by(name=name).first()
    if item is None:
        item = Item(name=name)
        db.session.add(item)
        check(name)
        db.session.commit()
    else:
        item.name = f"{name} again"
        db.session.commit()
        return "changed"
    body = {"name": item.name}
    return body
