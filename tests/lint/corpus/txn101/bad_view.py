from flask import Blueprint

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.route("/comments", methods=["POST"])
def create():
    db.session.add(Comment())  # TXN101
    return "", 201
