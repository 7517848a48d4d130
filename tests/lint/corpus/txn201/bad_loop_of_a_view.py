from flask import Blueprint, request

from app.extensions import db
from app.models import Tag

bp = Blueprint("tags", __name__)


@bp.post("/tags")
def add_tags():
    for name in request.json:
        try:
            db.session.add(Tag(name=name))
            db.session.flush()
        except Exception as error:  # TXN201
            print(name, error)
    db.session.commit()
    return ""


@bp.post("/tags/first")
def add_first():
    for name in request.json:
        try:
            db.session.add(Tag(name=name))
            db.session.commit()
        except Exception as error:
            return str(error), 409
    return ""
