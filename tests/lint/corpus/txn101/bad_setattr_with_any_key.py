from flask import Blueprint, request

from app.models import User, db

bp = Blueprint("users", __name__)


@bp.patch("/users/<int:id>")
def change(id):
    user = db.session.get(User, id)
    for key, value in request.json.items():
        setattr(user, key, value)  # TXN101
    return "ok"
