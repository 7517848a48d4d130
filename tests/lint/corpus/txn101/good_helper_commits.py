from flask import Blueprint

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


def store(comment):
    db.session.add(comment)
    db.session.commit()


@bp.route("/comments", methods=["POST"])
def create():
    store(Comment())
    return "", 201
