from concurrent.futures import ThreadPoolExecutor

from flask import Blueprint

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def store(name):
    check(name)
    db.session.add(Item(name=name))
    db.session.commit()


@bp.post("/<name>")
def add(name):
    with ThreadPoolExecutor(max_workers=1) as executor:
        first = executor.submit(store, f"{name} 1")
        executor.map(store, [name])
    return str(first.exception()), 202
