from flask import Blueprint

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.after_app_request
def store(response):
    db.session.commit()
    return response


@bp.route("/comments", methods=["POST"])
def create():
    db.session.add(Comment())
    return "", 201
