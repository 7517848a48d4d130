from flask import Blueprint

from app.extensions import db
from app.models import Like

bp = Blueprint("likes", __name__)


@bp.route("/like")
def like(item):
    db.session.add(Like())
    if item.public:
        db.session.commit()
    return "ok"
