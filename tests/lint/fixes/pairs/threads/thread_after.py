from flask import Blueprint
from flask_safesession import AppContextManager

from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def store(name, number=1):
    check(name)
    db.session.add(Item(name=f"{name} {number}"))
    db.session.commit()


@bp.post("/<name>")
def add(name):
    thread = AppContextManager().thread(
        args=(name,),
        target=store,  # in the background
        kwargs={"number": 2},
        daemon=True,
    )
    thread.start()
    thread.join()
    return "", 202
