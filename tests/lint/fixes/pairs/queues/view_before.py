from flask import Blueprint
from flask_safesession import transactional
from sqlalchemy.exc import IntegrityError

from store.mail import mail
from store.shop import Item, check, db

bp = Blueprint("items", __name__)


@bp.post("/<name>")
@transactional
def add(name):
    try:
        db.session.add(Item(name=name))
        db.session.flush()
        mail.delay(name, urgent=True)  # as soon as it is there
    except IntegrityError:
        return "exists", 409
    check(name)
    return ""
