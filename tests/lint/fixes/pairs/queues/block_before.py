from flask import Blueprint
from flask_safesession import session_manager

from store.mail import mail
from store.shop import Item, check

bp = Blueprint("items", __name__)


@bp.post("/<name>")
def add(name):
    with session_manager() as session:
        session.add(Item(name=name))
        session.flush()
        if name:
            mail.delay(name)
        check(name)
    mail.delay("other")
    return ""
