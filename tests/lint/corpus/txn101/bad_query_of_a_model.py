from flask import Blueprint

from app.extensions import db

bp = Blueprint("users", __name__)


class User(db.Model):
    __tablename__ = "user"


@bp.route("/deactivate")
def deactivate():
    User.query.filter_by(idle=True).update({"active": False})  # TXN101
    return "ok"
