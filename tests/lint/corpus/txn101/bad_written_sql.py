from flask import Blueprint
from sqlalchemy import text

from app.extensions import db

bp = Blueprint("comments", __name__)


@bp.post("/comments")
def hide():
    db.session.execute(db.text("UPDATE comment SET hidden = true"))  # TXN101
    return "", 204


@bp.delete("/comments")
def clear():
    db.session.execute(text(" DELETE FROM comment"))  # TXN101
    return "", 204
