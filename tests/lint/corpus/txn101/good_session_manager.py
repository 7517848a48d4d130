from flask import Blueprint
from flask_safesession import session_manager

from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.route("/comments", methods=["POST"])
def create():
    with session_manager() as session:
        session.add(Comment())
    return "", 201
