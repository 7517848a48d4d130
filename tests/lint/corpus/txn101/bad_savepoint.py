from flask import Blueprint

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.post("/comments")
def create():
    with db.session.begin_nested():
        db.session.add(Comment())  # TXN101
    return "", 201
