from flask import Blueprint, jsonify

from app.extensions import db
from app.models import Comment

bp = Blueprint("comments", __name__)


@bp.route("/comments", methods=["POST"])
def create():
    try:
        db.session.add(Comment())
        db.session.commit()
    except Exception as error:
        return jsonify(error=str(error)), 500
    return jsonify(ok=True)
