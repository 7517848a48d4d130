from flask import Blueprint
from flask_safesession import transactional

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.route("/comments", methods=["POST"])
@transactional
def create():
    db.session.add(Comment())
    return "", 201
