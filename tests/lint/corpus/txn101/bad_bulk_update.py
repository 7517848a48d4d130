from flask import Blueprint
from sqlalchemy import update

from app.extensions import db
from app.models import Post

bp = Blueprint("posts", __name__)


@bp.route("/publish")
def publish():
    db.session.execute(update(Post).values(public=True))  # TXN101
    return "ok"
